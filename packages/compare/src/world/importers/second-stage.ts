/** What a second stage says of memory, held against what it might: the size of leaves, and the memory type. */
import { type Gpa, hex, PAGE_SIZE } from "@dma-buf/core";
import type { GuestVm } from "@dma-buf/machine";
import { type Content, physicalAt } from "../content.js";
import type { Stage } from "../stage.js";

/** `bytes` of the buffer from `offset` on, which the guest sees at `gpa`. */
export interface Seen {
  readonly gpa: Gpa;
  readonly offset: number;
  readonly bytes: number;
}

/** Marks leaves that are smaller than the addresses allow, or stricter than the memory's owner wants. */
export function examineLeaves(
  { judge, machine }: Pick<Stage, "judge" | "machine">,
  vm: GuestVm,
  content: Content,
  seen: Seen,
): void {
  const leaves = [...vm.table.leaves(seen.gpa, seen.bytes)];
  const largest = largestLeaf(vm, content, seen);
  const small = leaves.find((leaf) => leaf.sizeBytes < largest);
  if (small)
    judge.mark("DEGRADED", {
      kind: "device",
      id: vm.table.format.title,
      text: `${vm.name} has leaves of ${hex(small.sizeBytes)} bytes where ${hex(largest)} fit: ${Math.ceil(content.sizeBytes / small.sizeBytes)} for the buffer`,
    });
  const typed = machine.attributes.records.findLast((r) => r.by === vm.name && r.consequence !== null);
  if (typed)
    judge.mark("DEGRADED", {
      kind: "device",
      id: vm.table.format.title,
      text: `${vm.name} has memory as ${typed.mapped} that its owner wants ${typed.owner}: safe, and slow`,
    });
  if (!small && !typed)
    judge.good({
      kind: "device",
      id: vm.table.format.title,
      text: `${leaves.length} leaves, as large as ${hex(largest)} bytes, cached as ${leaves[0]?.protection.cache ?? "the host says"}`,
    });
}

/** The largest leaf around the first byte whose frames lie in the buffer in a row, guest and host congruent. */
function largestLeaf({ table }: GuestVm, content: Content, { gpa, offset }: Seen): number {
  const sizes = table.format.leafSizesLog2.map((log2) => 2 ** log2).toSorted((a, b) => b - a);
  return sizes.find((sizeBytes) => fits(content, gpa, offset, sizeBytes)) ?? PAGE_SIZE;
}

function fits(content: Content, gpa: Gpa, offset: number, sizeBytes: number): boolean {
  const from = offset - (gpa % sizeBytes);
  const first = from < 0 ? null : physicalAt(content, from);
  if (first === null || first % sizeBytes !== 0) return false;
  const range = content.ranges().find((r) => r.base <= first && first < r.base + r.sizeBytes);
  return range !== undefined && first + sizeBytes <= range.base + range.sizeBytes;
}
