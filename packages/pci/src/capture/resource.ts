/** A function's `resource` file: a line each for BARs, ROM, the BARs for VFs, and a bridge's windows. */
import type { Bar, BridgeWindow } from "../function.js";
import type { Notes } from "./notes.js";

/** Bits of a resource's flags, as include/linux/ioport.h numbers them. */
const IO = 0x100n;
const MEMORY = 0x200n;
const PREFETCH = 0x2000n;
const MEMORY_64 = 0x10_0000n;
const DISABLED = 0x1000_0000n;
const UNSET = 0x2000_0000n;
/** Kernels before 2.6.39 left the BAR's own type bits, and no other sign of 64 bits. */
const TYPE_64 = 0x4n;
const LAST_BAR = 5;
const ROM = 6;
/** A kernel without SR-IOV has no lines for VFs: windows come right after the ROM. */
const LINES_WITHOUT_SRIOV = 11;

interface Resource {
  readonly index: number;
  readonly start: bigint;
  readonly last: bigint;
  readonly flags: bigint;
}

export interface Resources {
  readonly bars: readonly Bar[];
  readonly windows: readonly BridgeWindow[];
}

export function readResources(text: string, where: string, address: string, notes: Notes): Resources {
  const lines = text === "" ? [] : text.split("\n");
  const firstWindow = lines.length > LINES_WITHOUT_SRIOV ? 13 : 7;
  const all = lines.flatMap((line, index) => readResource(line, index, where, notes) ?? []);
  const isAssigned = ({ start, last, flags }: Resource): boolean =>
    (flags & (IO | MEMORY)) !== 0n && (flags & UNSET) === 0n && last >= start && last > 0n;
  const assigned = all.filter(isAssigned);
  return {
    bars: assigned
      .filter(({ index }) => index <= LAST_BAR || (index > ROM && index < firstWindow))
      .map((resource) => barOf(resource, address, notes)),
    windows: assigned
      .filter(({ index, flags }) => index >= firstWindow && (flags & DISABLED) === 0n)
      .map((resource) => windowOf(resource, address, notes)),
  };
}

function readResource(line: string, index: number, where: string, notes: Notes): Resource | null {
  const found = /^0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})$/i.exec(line.trim());
  if (!found) {
    notes.skip(`${where}, line ${index + 1}`, line, "not three numbers");
    return null;
  }
  const [start, last, flags] = found.slice(1).map((digits) => BigInt(`0x${digits}`)) as [bigint, bigint, bigint];
  return { index, start, last, flags };
}

function barOf({ index, start, last, flags }: Resource, address: string, notes: Notes): Bar {
  const isIo = (flags & IO) !== 0n;
  return {
    index,
    space: isIo ? "io" : "memory",
    ...spanOf(start, last, `BAR ${index} of ${address}`, notes),
    prefetchable: (flags & PREFETCH) !== 0n,
    bits: !isIo && (flags & (MEMORY_64 | TYPE_64)) !== 0n ? 64 : 32,
    enabled: (flags & DISABLED) === 0n,
  };
}

function windowOf({ start, last, flags }: Resource, address: string, notes: Notes): BridgeWindow {
  const kind = (flags & IO) !== 0n ? "io" : (flags & PREFETCH) !== 0n ? "prefetchable" : "memory";
  return { kind, ...spanOf(start, last, `the ${kind} window of ${address}`, notes) };
}

function spanOf(start: bigint, last: bigint, what: string, notes: Notes): Pick<Bar, "base" | "sizeBytes"> {
  const base = notes.address(start.toString(16), what);
  return { base, sizeBytes: notes.address(last.toString(16), what) - base + 1 };
}
