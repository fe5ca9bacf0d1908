/** How far the numbers on a root's buses lie from the CPU's: known where a BAR is seen from both sides. */
import type { PciFunction, UnsizedBar } from "../function.js";
import { Buses } from "../buses.js";
import type { Notes } from "./notes.js";

/** One BAR, with the CPU's number and the register's. */
export interface Seen {
  readonly address: string;
  readonly physical: number;
  readonly bus: number;
}

/** The BARs that stand in both lists. */
export function seenTwice(
  { address, bars, memoryEnabled }: Pick<PciFunction, "address" | "bars" | "memoryEnabled">,
  registers: readonly UnsizedBar[],
): Seen[] {
  if (!memoryEnabled) return [];
  return bars.flatMap((bar) => {
    const register = registers.find((r) => r.index === bar.index && r.space === "memory");
    return register && bar.enabled ? [{ address, physical: bar.base, bus: register.base }] : [];
  });
}

/** By root bus. A root whose BARs do not agree has several offsets, and none that could be named. */
export function busOffsets(
  seen: readonly Seen[],
  functions: readonly PciFunction[],
  notes: Notes,
): Map<string, number> {
  const offsets = new Map<string, number>();
  const split = new Set<string>();
  const buses = new Buses(functions);
  for (const { address, physical, bus } of seen) {
    const root = buses.rootOf(address);
    const offset = physical - bus;
    if ((offsets.get(root) ?? offset) !== offset) split.add(root);
    offsets.set(root, offset);
  }
  for (const root of [...split, ...impossibleOffsets(offsets, functions, buses)]) {
    offsets.delete(root);
    notes.skip(`BARs below ${root}`, root, "their registers lie at different distances from the CPU's addresses");
  }
  return offsets;
}

/** The roots whose offset would put a BAR below them where no bus has an address. */
export function impossibleOffsets(
  offsets: ReadonlyMap<string, number>,
  functions: readonly PciFunction[],
  buses: Buses,
): Set<string> {
  const roots = new Set<string>();
  for (const { address, bars } of functions) {
    const root = buses.rootOf(address);
    const offset = offsets.get(root) ?? 0;
    const isOnBus = (base: number): boolean => base >= offset && Number.isSafeInteger(base - offset);
    if (bars.some((bar) => bar.space === "memory" && bar.enabled && !isOnBus(bar.base))) roots.add(root);
  }
  return roots;
}
