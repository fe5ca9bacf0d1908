/**
 * What hardware does with an address: read an entry, follow it, stop at a leaf, and note in the leaf that it was there.
 * Knows nothing of who wrote the table, and believes nothing: a walk ends after as many entries as there are levels.
 */
import { addr, hex, type PhysAddr } from "@dma-buf/core";
import { type Access, entryLog2, type Format, type Protection } from "./format.js";

/** One entry that was read on the way. */
export interface WalkStep {
  /** 0 is the lowest. */
  readonly level: number;
  /** Which of the table's entries. */
  readonly index: number;
  readonly entryPhys: PhysAddr;
  /** All 64 bits. */
  readonly entry: bigint;
}

/**
 * Why a walk stopped: the address has more bits than the table covers; the entry is empty; a leaf, or a table on the way,
 * does not allow the access; the entry has a form that the format does not have; there is no memory where it points.
 */
export type FaultReason = "address-width" | "not-present" | "permission" | "malformed" | "no-memory";

/** Where a walk ended: at a byte, or with a fault. `steps` are the entries that were read, the root's first. */
export type WalkResult =
  | {
      readonly kind: "hit";
      readonly physical: PhysAddr;
      readonly leafSizeBytes: number;
      /** What the leaf and all tables on the way allow. */
      readonly protection: Protection;
      readonly steps: readonly WalkStep[];
    }
  | {
      readonly kind: "fault";
      readonly level: number;
      readonly reason: FaultReason;
      /** One line for people. */
      readonly detail: string;
      readonly steps: readonly WalkStep[];
    };

/** Where a walk begins. A {@link PageTable} is one; so is what a device's context entry says. */
export interface WalkRoot {
  readonly root: PhysAddr;
  /** Tables from root to the lowest, both included. */
  readonly levels: number;
}

/** What a walker sees of memory. */
export interface WalkMemory {
  /** The 8 bytes there, little-endian; `null` where there is no memory. */
  readEntry(entryPhys: PhysAddr): bigint | null;
  /**
   * Writes an entry in which accessed or dirty was set. Leave it out for hardware that does not set them, or where that is
   * off.
   */
  writeEntry?(entryPhys: PhysAddr, entry: bigint): void;
}

/**
 * Walks as hardware does.
 * @throws RangeError for levels that no table has
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0x1000_0000), sizeBytes: 8 * 4096 });
 * const table = createPageTable(vtdSecondStage, memory);
 * const found = walk(vtdSecondStage, { readEntry: () => 0n }, table, 0x1000, "read");
 * found.reason; // "not-present"
 */
export function walk(format: Format, memory: WalkMemory, from: WalkRoot, va: number, access: Access): WalkResult {
  checkLevels(from);
  return new Walk(format, memory, from, va, access).run();
}

class Walk {
  readonly #format: Format;
  readonly #memory: WalkMemory;
  readonly #from: WalkRoot;
  readonly #va: number;
  readonly #access: Access;
  readonly #steps: WalkStep[] = [];
  #allowed = { read: true, write: true, execute: true };

  constructor(format: Format, memory: WalkMemory, from: WalkRoot, va: number, access: Access) {
    this.#format = format;
    this.#memory = memory;
    this.#from = from;
    this.#va = va;
    this.#access = access;
  }

  run(): WalkResult {
    const top = this.#from.levels - 1;
    const bits = addressBits(this.#format, this.#from.levels);
    if (!(Number.isInteger(this.#va) && this.#va >= 0 && this.#va < 2 ** bits))
      return this.#fault(top, "address-width", `no address of ${bits} bits`);
    let table: number = this.#from.root;
    for (let level = top; ; level--) {
      const entry = this.#read(table, level, level === top);
      if (entry === null) return this.#fault(level, "no-memory", `no memory at ${hex(table)}`);
      if ((entry & this.#format.present) === 0n) return this.#fault(level, "not-present", "the entry is empty");
      const malformed = malformation(this.#format, entry, level);
      if (malformed) return this.#fault(level, "malformed", malformed);
      if (!isTable(this.#format, entry, level)) return this.#leaf(entry, level);
      this.#restrict(entry);
      table = addressIn(this.#format, entry);
    }
  }

  #read(table: number, level: number, isTop: boolean): bigint | null {
    const slot = Math.floor(this.#va / 2 ** entryLog2(level));
    const index = isTop ? slot : slot % 512;
    const entryPhys = (table + index * 8) as PhysAddr;
    const entry = this.#memory.readEntry(entryPhys);
    if (entry !== null) this.#steps.push({ level, index, entryPhys, entry });
    return entry;
  }

  #restrict(entry: bigint): void {
    const table = this.#format.tablePermissions?.(entry);
    if (!table) return;
    const { read, write, execute } = this.#allowed;
    this.#allowed = { read: read && table.read, write: write && table.write, execute: execute && table.execute };
  }

  #leaf(entry: bigint, level: number): WalkResult {
    const leaf = this.#format.protection(entry, level);
    if (!leaf[this.#access]) return this.#fault(level, "permission", `the leaf does not allow ${this.#access}`);
    if (!this.#allowed[this.#access])
      return this.#fault(level, "permission", `a table on the way does not allow ${this.#access}`);
    this.#note(entry);
    const size = 2 ** leafLog2(this.#format, entry, level);
    const base = Math.floor(addressIn(this.#format, entry) / size) * size;
    const { read, write, execute } = this.#allowed;
    return {
      kind: "hit",
      physical: addr<PhysAddr>(base + (this.#va % size)),
      leafSizeBytes: size,
      protection: {
        ...leaf,
        read: leaf.read && read,
        write: leaf.write && write,
        ...(leaf.execute === undefined ? {} : { execute: leaf.execute && execute }),
      },
      steps: this.#steps,
    };
  }

  /** Accessed, and dirty for a write, in the one entry that was read. */
  #note(entry: bigint): void {
    const { accessed, dirty } = this.#format;
    const noted = entry | accessed | (this.#access === "write" ? dirty : 0n);
    const last = this.#steps.at(-1);
    if (last && noted !== entry) this.#memory.writeEntry?.(last.entryPhys, noted);
  }

  #fault(level: number, reason: FaultReason, detail: string): WalkResult {
    return { kind: "fault", level, reason, detail, steps: this.#steps };
  }
}

/** Bits of an address that a table of so many levels takes. */
export function addressBits(format: Format, levels: number): number {
  const { vaBits, levelsMax = format.levels } = format;
  return levels === levelsMax ? vaBits : Math.min(vaBits, entryLog2(levels));
}

/** A walk ends because each level is lower than the one before. @throws RangeError */
export function checkLevels({ levels }: WalkRoot): void {
  if (!(Number.isInteger(levels) && levels >= 1 && levels <= 6))
    throw new RangeError(`a root of ${levels} levels: hardware has 1 to 6`);
}

/** Why hardware refuses a present entry, or `null`: it has a form that the format has not, or an address too wide. */
export function malformation(format: Format, entry: bigint, level: number): string | null {
  if (addressIn(format, entry) >= 2 ** format.oaBits) return `an address of more than ${format.oaBits} bits`;
  return format.malformed?.(entry, level) ?? null;
}

/** Of a present entry: does it lead to a table? */
export function isTable(format: Format, entry: bigint, level: number): boolean {
  if (level === 0) return false;
  const { mask, value } = format.tableMark(level);
  return (entry & mask) === value;
}

/** The address field of an entry, as a byte address. */
export function addressIn(format: Format, entry: bigint): number {
  // Bit 12 of an address is the lowest of the field.
  return Number((entry & format.address) / (format.address & -format.address)) * 4096;
}

/** log2 of the size of a leaf. */
export function leafLog2(format: Format, entry: bigint, level: number): number {
  const coded = format.codedSizeLog2?.(Number(entry & 0xffff_ffffn), Number(entry >> 32n)) ?? 0;
  return coded === 0 ? entryLog2(level) : coded;
}
