/** How `KVM_RUN` comes back to the VMM. */
import { type AccessResult, DmaBufError, type ErrnoName, type Gpa, hex, PAGE_SIZE } from "@dma-buf/core";

/** What a vCPU wanted. */
export type GuestAccessKind = "read" | "write" | "execute";

/** There is no slot, or a write to one that is read-only: the VMM emulates the access. Linux: `KVM_EXIT_MMIO`. */
export interface MmioExit {
  readonly kind: "fault";
  readonly by: string;
  readonly reason: string;
  readonly exit: "mmio";
  readonly gpa: Gpa;
  readonly access: GuestAccessKind;
}

/** How a run ended: the access is through, or the VMM has something to do. */
export type RunResult = AccessResult | MmioExit;

export function mmioExit(by: string, gpa: Gpa, access: GuestAccessKind, why: string): MmioExit {
  return { kind: "fault", by, reason: `${why} at ${hex(gpa)}`, exit: "mmio", gpa, access };
}

/**
 * `KVM_EXIT_MEMORY_FAULT`, and the errno of `KVM_RUN` beside it. The error's `values` are what the exit's structure says.
 * `EFAULT` asks the VMM to convert the page's attributes, or to see to its own mapping; other errnos do not.
 */
export function memoryFault(code: ErrnoName, gpa: Gpa, isPrivate: boolean, why: string, cause?: unknown): DmaBufError {
  const values = { exit: "memory-fault", gpa: gpa - (gpa % PAGE_SIZE), sizeBytes: PAGE_SIZE, private: isPrivate };
  return new DmaBufError(code, {
    op: "KVM_RUN",
    stage: "vcpu-run",
    message: `no page for ${hex(gpa)}: ${why}`,
    values,
    ...(cause === undefined ? {} : { cause }),
  });
}
