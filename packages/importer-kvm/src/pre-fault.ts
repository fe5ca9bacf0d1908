/** `KVM_PRE_FAULT_MEMORY`: leaves before a vCPU asks for them. Linux 7.3: `kvm_vcpu_pre_fault_memory()`. */
import { addr, DmaBufError, type Gpa, type Op, PAGE_SIZE } from "@dma-buf/core";
import { prefault } from "./fault.js";
import { needBigints, refuse } from "./refuse.js";
import { isU64, type PreFaultMemory } from "./uapi.js";
import type { Vm } from "./vm.js";

const OP = "KVM_PRE_FAULT_MEMORY";
const PAGE = BigInt(PAGE_SIZE);

/** Bytes that have leaves now; fewer than asked where a later page was refused: the next call tells why. */
export function* preFaultMemory(vm: Vm, { gpa, size, flags }: PreFaultMemory): Op<number> {
  const invalid = (why: string): never => refuse("EINVAL", OP, why, { gpa, size, flags }, "vcpu-run");
  needBigints(OP, { gpa, size, flags }, "vcpu-run");
  if (flags !== 0n) invalid(`flags ${flags}: there are none, give 0`);
  if (gpa % PAGE !== 0n || size % PAGE !== 0n) invalid(`gpa and size are not whole pages: align both to ${PAGE_SIZE}`);
  if (!isU64(gpa) || !isU64(size) || size === 0n || gpa + size >= 2n ** 64n)
    invalid("the range is empty or wraps: give at least a page below 2^64");
  let done = 0;
  while (BigInt(done) < size) {
    // Beyond what a Number holds exactly there is no slot.
    const at = addr<Gpa>(Math.min(Number(gpa) + done, Number.MAX_SAFE_INTEGER));
    try {
      if ((yield* prefault(vm, at)) === "retry") continue;
    } catch (error) {
      if (done > 0 && error instanceof DmaBufError) break;
      throw error;
    }
    done += restOfLeaf(vm, at);
  }
  return Math.min(done, Number(size));
}

/** Up to where the leaf reaches. Another task may have taken it away already: then it was there. */
function restOfLeaf({ table }: Vm, gpa: Gpa): number {
  const [leaf] = table.leaves(gpa, PAGE_SIZE);
  return leaf ? leaf.va + leaf.sizeBytes - gpa : PAGE_SIZE;
}
