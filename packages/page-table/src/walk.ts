/** What hardware does with an address: read an entry, follow it, stop at a leaf. Knows nothing of who wrote the table. */
import { addr, type PhysAddr } from "@dma-buf/core";
import { type Access, type Entry, entryLog2, type Format, type Protection } from "./format.js";

/** One entry that was read on the way. */
export interface WalkStep extends Entry {
  readonly level: number;
  readonly entryPhys: PhysAddr;
}

export type WalkResult =
  | {
      readonly kind: "hit";
      readonly physical: PhysAddr;
      readonly leafSizeBytes: number;
      readonly protection: Protection;
      readonly steps: readonly WalkStep[];
    }
  | {
      readonly kind: "fault";
      readonly level: number;
      readonly reason: "not-present" | "permission" | "address-width";
      readonly steps: readonly WalkStep[];
    };

/** Where in its table the entry for `va` stands, bytes. Division, because `va` may have more than 32 bits. */
export function entryOffset(va: number, level: number): number {
  return (Math.floor(va / 2 ** entryLog2(level)) % 512) * 8;
}

/** Walks from `root`. `readEntry` reads 8 bytes of physical memory; nothing is written, accessed bits are not set. */
export function walk(
  format: Format,
  readEntry: (entryPhys: PhysAddr) => Entry,
  root: PhysAddr,
  va: number,
  access: Access,
): WalkResult {
  const steps: WalkStep[] = [];
  if (va >= 2 ** format.maxVaBits) return { kind: "fault", level: format.levels - 1, reason: "address-width", steps };
  let table = root;
  for (let level = format.levels - 1; ; level--) {
    const entryPhys = addr<PhysAddr>(table + entryOffset(va, level));
    const { lo, hi } = readEntry(entryPhys);
    steps.push({ level, entryPhys, lo, hi });
    const found = format.decode(level, lo, hi);
    if (found.kind === "empty") return { kind: "fault", level, reason: "not-present", steps };
    if (found.kind === "table") {
      table = found.physical;
      continue;
    }
    if (!found.protection[access]) return { kind: "fault", level, reason: "permission", steps };
    const leafSizeBytes = 2 ** entryLog2(level);
    return {
      kind: "hit",
      physical: addr<PhysAddr>(found.physical + (va % leafSizeBytes)),
      leafSizeBytes,
      protection: found.protection,
      steps,
    };
  }
}
