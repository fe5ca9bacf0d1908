/** What KVM needs of the machine under it: a guest whose vCPU walks a second stage that KVM writes. */
import type { AccessResult, Gpa, Op } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";

/** How a guest's access ended: like any other, or with an exit because the second stage had no entry for it. */
export type GuestAccess = AccessResult | { readonly kind: "violation"; readonly reason: string };

export interface KvmHost {
  readonly name: string;
  readonly privateMemory: boolean;
  /** The second stage; KVM alone writes it. */
  readonly table: PageTable;
  write(gpa: Gpa, bytes: Uint8Array): Op<GuestAccess>;
  read(gpa: Gpa, sizeBytes: number): Op<GuestAccess>;
  /** Returns when no vCPU can use a translation that was cached before the call. */
  flushTlb(): Op<void>;
}
