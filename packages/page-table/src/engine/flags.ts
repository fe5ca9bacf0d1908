/** Everything but the address of a leaf, by its size: asked of the format once for each protection, then looked up. */
import { type Format, MEMORY_TYPES, type Protection } from "../format.js";
import { describe, refuse, refuseProtection } from "../refuse.js";
import { high, low } from "./layout.js";

/** The level at which a leaf of that size stands. */
export function levelOf(sizeLog2: number): number {
  return Math.floor((sizeLog2 - 12) / 9);
}

/** By log2 of the size. */
export interface LeafFlags {
  readonly lo: Int32Array;
  readonly hi: Int32Array;
}

export class FlagsCache {
  readonly #format: Format;
  readonly #sizesLog2: readonly number[];
  readonly #known: (LeafFlags | undefined)[] = [];

  constructor(format: Format, sizesLog2: readonly number[]) {
    this.#format = format;
    this.#sizesLog2 = sizesLog2;
  }

  /** @throws DmaBufError `EINVAL`, or what the format throws, for what the format cannot say. */
  of(protection: Protection): LeafFlags {
    const key = keyOf(protection);
    return this.#known[key] ?? this.#encode(protection, key);
  }

  #encode(protection: Protection, key: number): LeafFlags {
    checkProtection(this.#format, protection);
    const flags = { lo: new Int32Array(64), hi: new Int32Array(64) };
    for (const sizeLog2 of this.#sizesLog2) {
      const bits = this.#format.leafFlags({ level: levelOf(sizeLog2), sizeLog2 }, protection);
      flags.lo[sizeLog2] = low(bits);
      flags.hi[sizeLog2] = high(bits);
    }
    this.#known[key] = flags;
    return flags;
  }
}

/** A small number for what a protection says. Wrong types say what they are taken for. */
function keyOf({ read, write, execute, cache, deviceMemory }: Protection): number {
  const permissions = (read ? 1 : 0) | (write ? 2 : 0) | (execute ? 4 : execute === false ? 8 : 0);
  return permissions | (deviceMemory ? 16 : 0) | ((cache === undefined ? 7 : MEMORY_TYPES.indexOf(cache)) << 5);
}

/** What every format refuses. */
function checkProtection(format: Format, protection: Protection): void {
  const { read, write, cache, deviceMemory } = protection;
  if (!read && !write)
    refuse("EINVAL", "map", `${describe(protection)}: neither readable nor writable, allow one`, { protection });
  if (deviceMemory && !format.hasDeviceMemory)
    refuseProtection(format, protection, "its addresses are all on the bus: leave `deviceMemory` out");
  if (cache === undefined) return;
  if (!MEMORY_TYPES.includes(cache))
    refuseProtection(format, protection, `no such memory type: ${MEMORY_TYPES.join(", ")}`);
  if (format.memoryTypes.length > 0 && !format.memoryTypes.includes(cache))
    refuseProtection(format, protection, `its memory types are ${format.memoryTypes.join(", ")}`);
}
