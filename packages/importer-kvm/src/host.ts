/** What KVM needs of the machine under it: vCPUs that walk a second stage, which KVM alone writes. */
import type { AccessResult, Gpa, Op, SystemMemory, TableMemory } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { GuestMemfdHost } from "./gmem-pages.js";

/** How a guest's access ended: like any other, or with an exit because the second stage does not allow it. */
export type GuestAccess = AccessResult | { readonly kind: "violation"; readonly reason: string };

/** One vCPU in its guest. Each access lies in one page. All sleep; each may answer from what the vCPU has cached. */
export interface KvmVcpuHost {
  write(gpa: Gpa, bytes: Uint8Array): Op<GuestAccess>;
  read(gpa: Gpa, sizeBytes: number): Op<GuestAccess>;
  /** Reads bytes to execute them. */
  fetch(gpa: Gpa, sizeBytes: number): Op<GuestAccess>;
}

/** One VM on the machine. */
export interface KvmHost {
  readonly name: string;
  /** Has this VM private memory? Linux: `kvm_arch_has_private_mem()`. */
  readonly privateMemory: boolean;
  /** The second stage: EPT, NPT. */
  readonly table: PageTable;
  /** Where tables go back to that were taken out of {@link table}. */
  readonly tables: Pick<TableMemory, "freeTable">;
  /** Says of a page frame whether it is RAM. Linux: `kvm_is_mmio_pfn()`. */
  readonly memory: SystemMemory;
  /** Where pages of guest_memfds come from; `null`: there are none. */
  readonly guestMemory: GuestMemfdHost | null;
  /** At least one. */
  readonly vcpus: readonly KvmVcpuHost[];
  /** Kicks every vCPU; returns when none can use a translation that was cached before the call. Linux: `kvm_flush_remote_tlbs()`. */
  flushTlb(): Op<void>;
  /** Devices that the VM trusts, where the platform has such; `null` or not given: it has none. */
  readonly trustedIo?: TrustedIoHost | null;
}

/** The platform's side of devices that belong to the VM alone. With it, private frames of a mapping may be such a device's. */
export interface TrustedIoHost {
  /** Stops the interfaces of those devices: firmware wants that before a private mapping of theirs goes. */
  stop(): Op<void>;
}
