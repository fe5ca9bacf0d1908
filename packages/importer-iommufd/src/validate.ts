/**
 * What a command looks at before it looks for its objects: flags, then the width of the values, then what is asked for.
 * Pure: the ioctl asks before it looks an id up, and an IOAS that is called directly asks itself. Linux 7.3:
 * drivers/iommu/iommufd/ioas.c.
 */
import { IOMMU_IOAS_MAP_FLAGS, MAP_FLAGS_ALL } from "./flags.js";
import { refuse } from "./refusal.js";
import { hex64, isU64, U64_MAX } from "./u64.js";

/** What MAP, MAP_FILE and COPY have in common. */
export interface MapArguments {
  /** `IOMMU_IOAS_MAP_FLAGS`. */
  readonly flags: number;
  /** Where, with `FIXED_IOVA`; without, the kernel chooses. */
  readonly iova: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** For refusals where MAP, MAP_FILE and COPY are one. */
export const MAP = "IOMMU_IOAS_MAP";

/** The same, checked. */
export interface MapAccess {
  readonly readable: boolean;
  readonly writeable: boolean;
  /** null: the kernel chooses. */
  readonly iova: bigint | null;
}

/**
 * @throws DmaBufError at stage `map`: `EOPNOTSUPP` a flag that is none · `EOVERFLOW` an IOVA or a length of all bits, or
 * more · `EINVAL` neither to be read nor to be written
 */
export function checkMap(
  { flags, iova, length, srcIova = 0n }: MapArguments & { readonly srcIova?: bigint },
  op: string,
): MapAccess {
  checkFlags(flags, MAP_FLAGS_ALL, op);
  checkWidth({ iova, length, srcIova }, op);
  const readable = (flags & IOMMU_IOAS_MAP_FLAGS.READABLE) !== 0;
  const writeable = (flags & IOMMU_IOAS_MAP_FLAGS.WRITEABLE) !== 0;
  if (!readable && !writeable) refuse("EINVAL", op, "neither READABLE nor WRITEABLE: set one or both", { flags });
  return { readable, writeable, iova: flags & IOMMU_IOAS_MAP_FLAGS.FIXED_IOVA ? iova : null };
}

/** iommufd's own convention: what is unknown is not supported. @throws DmaBufError `EOPNOTSUPP` at stage `map` */
export function checkFlags(flags: number, known: number, op: string): void {
  if (!Number.isInteger(flags))
    refuse("EOPNOTSUPP", op, `flags ${shown(flags)} is no whole number: give bits of ${known}`, { flags });
  if (flags < 0 || flags > known)
    refuse("EOPNOTSUPP", op, `flags ${flags} has bits that mean nothing: clear all above ${known}`, { flags });
}

/** @throws DmaBufError `EOPNOTSUPP` at stage `map` */
export function checkReserved(reserved: number, op: string): void {
  if (reserved !== 0) refuse("EOPNOTSUPP", op, `a reserved field is ${reserved}: give 0`, { reserved });
}

/**
 * The same rule for every value that the kernel holds as an `unsigned long`: its greatest value is not an address.
 * @throws DmaBufError `EOVERFLOW` at stage `map`
 */
export function checkWidth(values: Readonly<Record<string, bigint>>, op: string): void {
  for (const [name, value] of Object.entries(values))
    if (!isU64(value) || value === U64_MAX)
      refuse("EOVERFLOW", op, noU64(name, value) ?? `${name} ${hex64(value)} is 2^64-1 or beyond`, values);
}

/** Of what no field of 64 bits holds whatever its size: what is wrong with it. `null`: nothing, or it is too great. */
function noU64(name: string, value: unknown): string | null {
  if (typeof value !== "bigint") return `${name} ${shown(value)} is no bigint: give one, as 4096n`;
  return value < 0n ? `${name} ${value} is below 0: give an unsigned value` : null;
}

const shown = (value: unknown): string => `${String(value)} (${typeof value})`;

/**
 * The last byte of `length` from `start` on: IOVAs, addresses of the process, bytes of a file; `name`: what `start` is called.
 * @throws DmaBufError at stage `map`: `EINVAL` length 0 · `EOVERFLOW` it ends beyond 64 bits
 */
export function lastOf(start: bigint, length: bigint, op: string, name = "start"): bigint {
  if (length === 0n) refuse("EINVAL", op, "length is 0: give at least one byte", { start, length });
  const wrong = noU64(name, start) ?? noU64("length", length);
  if (wrong || start + length - 1n > U64_MAX)
    refuse("EOVERFLOW", op, wrong ?? `${hex64(start)} + ${hex64(length)} is beyond 64 bits`, { start, length });
  return start + length - 1n;
}

/** The value of an option that is off or on. @throws DmaBufError `EINVAL` at stage `map` */
export function checkSwitch(value: bigint): boolean {
  if (value !== 0n && value !== 1n) refuse("EINVAL", "IOMMU_OPTION", `${value} is neither 0 nor 1`, { value });
  return value === 1n;
}
