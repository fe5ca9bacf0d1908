/** What a user of this package holds: one RDMA device. */
import type { AccessResult, DmaBufError, Op } from "@dma-buf/core";
import type { Side } from "./mkey.js";
import type { MrKind, RegMr } from "./request.js";

/** Where a request goes. */
export interface RdmaTarget {
  /** `lkey` or `rkey` of a memory region. */
  readonly key: number;
  /** In the region's addresses, which begin at its `iova`. */
  readonly iova: number;
  /** A peer's request, or a work request of this host. @defaultValue remote */
  readonly side?: Side;
}

/**
 * How a request ended. `protection-error` is a completion, not a fault of the machine: no key, outside of the region, without
 * the right, revoked, or a page fault that nobody could serve; then `cause` is what refused it. Linux: `IBV_WC_LOC_PROT_ERR`,
 * `IBV_WC_REM_ACCESS_ERR`. Whatever of it came before has arrived.
 */
export type RdmaResult =
  | AccessResult
  | {
      readonly kind: "protection-error";
      readonly status: "LOC_PROT_ERR" | "REM_ACCESS_ERR";
      readonly reason: string;
      readonly cause: DmaBufError | null;
    };

/** A registered piece of a buffer. It holds a reference to the buffer until it is deregistered. */
export interface MemoryRegion {
  readonly lkey: number;
  readonly rkey: number;
  readonly kind: MrKind;
  /** The first address. */
  readonly iova: number;
  readonly sizeBytes: number;
  /** `unmapped`: the next access faults. `revoked`: for ever. */
  readonly state: "mapped" | "unmapped" | "revoked" | "deregistered";
  /** Consecutive ranges that it is mapped in; 0: it is not mapped. */
  readonly segments: number;
  /** Of its translation table; `null`: it has none. */
  readonly pageBytes: number | null;
  /** Of its translation table. */
  readonly entries: number;
  /**
   * Where byte `offset` of the buffer is by the translation table: what the device would put on its bus. `null`: the access
   * would fault, or end in a protection error. What the device cached is not asked.
   */
  reaches(offset: number): number | null;
}

/** What is out. All zero when every memory region was deregistered. */
export interface RdmaLedger {
  readonly memoryRegions: number;
  readonly keys: number;
  readonly segments: number;
}

/** What was done, since the device is there. */
export interface RdmaCosts {
  /** Entries of translation tables, all pages sizes. */
  readonly entriesWritten: number;
  /** Translation tables taken out, each with a flush and a wait. */
  readonly zaps: number;
  readonly pageFaults: number;
  /** Calls of invalidate that reached it. */
  readonly callbacks: number;
}

/**
 * An RDMA device with its memory regions. Everything sleeps, takes the reservation of the buffer, and must be called without
 * it. Tasks may share a device: regions are registered, used and deregistered in any order.
 */
export interface RdmaImporter {
  readonly name: string;
  /**
   * Registers: takes a reference to the buffer, attaches, pins if its kind does, maps, and writes the translation table.
   * Refused, nothing is left behind.
   * @throws DmaBufError at stage `map`: `EINVAL` a request that cannot be (kind, access, offset, size, iova, function), a page
   * size that the device has not, or revoked meanwhile; `ENOMEM`; `EOPNOTSUPP` a run that the function cannot use; `EFAULT`
   * where there is a CPU mapping only · at stages `attach`, `pin`, `map`, `query`: what the core or the exporter refuses with
   */
  regMr(request: RegMr): Op<MemoryRegion>;
  /**
   * Takes the key away, waits for what is under way, unmaps, unpins, detaches and puts the buffer.
   * @throws DmaBufError `EINVAL` at stage `map`: it is not registered here, or not any more
   */
  deregMr(mr: MemoryRegion): Op<void>;
  /**
   * Maps an `on-demand` region before it is used. Linux: `ibv_advise_mr()` with `IB_UVERBS_ADVISE_MR_FLAG_FLUSH`.
   * @throws DmaBufError `ENOENT` at stage `map`: not an `on-demand` region of this device · what its page fault ends with
   */
  prefetch(mr: MemoryRegion): Op<void>;
  /**
   * Writes `bytes` to the region: an RDMA WRITE, or what a local work request stores. Page by page: no page twice, none in
   * order with another request's. Of no bytes no key is looked at, as InfiniBand has it.
   * @throws DmaBufError `EINVAL` at stage `map`: an iova that is no whole number from 0, a side that is none, no `Uint8Array`
   */
  write(to: RdmaTarget, bytes: Uint8Array): Op<RdmaResult>;
  /**
   * Reads from the region: an RDMA READ, or what a local work request sends. As {@link write} in the rest.
   * @throws DmaBufError `EINVAL` at stage `map`: an iova or a size that is no whole number from 0, a side that is none
   */
  read(from: RdmaTarget, sizeBytes: number): Op<RdmaResult>;
  readonly ledger: RdmaLedger;
  readonly costs: RdmaCosts;
}
