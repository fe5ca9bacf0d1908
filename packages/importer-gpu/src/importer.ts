/** What a user of this package holds: a GPU's driver that imports, its address spaces, and what it submits. */
import type { AccessResult, DmaBuf, DmaFence, Op, Run } from "@dma-buf/core";

/**
 * A dma-buf as an object of the GPU's driver. Linux: a GEM object of its own with the dma-buf's reservation. Holds a
 * reference to the buffer and one attachment, until its last {@link GpuImporter.close}.
 */
export interface ImportedBuffer {
  readonly buf: DmaBuf;
  /** Whole pages: what of an address space it takes at most. */
  readonly sizeBytes: number;
  /** Handles out: importing the same dma-buf again gives the same object. */
  readonly refs: number;
  /** What the contract told and is in force: what this device could tell another one. Empty: not mapped now. */
  readonly runs: readonly Run[];
}

/** Where a buffer appears in an address space. Bytes, whole pages. */
export interface VmRange {
  readonly va: number;
  /** From here on in the buffer. @defaultValue 0 */
  readonly offset?: number;
  /** @defaultValue the rest of the buffer */
  readonly sizeBytes?: number;
  /** @defaultValue true */
  readonly write?: boolean;
}

/**
 * An address space of the GPU: a page table in the GPU's format, and a TLB that answers what it once saw until it is
 * flushed. What sleeps takes the reservation of the address space, then those of the buffers it touches: call it without.
 */
export interface GpuVm {
  readonly name: string;
  /**
   * Notes that the buffer is to appear at `va`; entries are written by the next submission or {@link GpuImporter.validate}
   * that lists it. The mapping goes with {@link unmap}, with the buffer's close, or with the address space.
   * @throws DmaBufError at stage `map`: `EINVAL` not whole pages, empty, beyond the buffer or the GPU's 48 bits, or
   * something is there already · `ENOENT` the buffer was closed (stage `fd`), or the address space
   * destroyed
   */
  map(bo: ImportedBuffer, range: VmRange): void;
  /**
   * Clears the entries of the mapping that begins at `va`, and flushes. Jobs that use it fault from then on.
   * @throws DmaBufError `ENOENT` none begins there. Stage `map`
   */
  unmap(va: number): Op<void>;
  /**
   * Where an access to `va` would end now: the address that the GPU would put out, by TLB or page table. `null`: a fault.
   * Does not sleep, and leaves the TLB as it is.
   */
  reaches(va: number): number | null;
  /**
   * Waits for the jobs of this address space, then takes down all that is in it.
   * @throws DmaBufError `ENOENT` it was destroyed before. Stage `map`
   */
  destroy(): Op<void>;
}

/** What a job does, in order. Addresses are the GPU's virtual ones, bytes. */
export type Command =
  | { readonly do: "write"; readonly va: number; readonly bytes: Uint8Array }
  | { readonly do: "read"; readonly va: number; readonly sizeBytes: number }
  /** Holds the engine until the fence has signalled: a semaphore, or, with one that never does, a job that hangs. */
  | { readonly do: "wait"; readonly fence: DmaFence };

/** A buffer on a submission's list. Linux: `struct drm_amdgpu_bo_list_entry`. */
export interface Listed {
  readonly bo: ImportedBuffer;
  /** Will the job write? Then its fence is a WRITE fence, and it waits for readers too. @defaultValue true */
  readonly write?: boolean;
}

/** A command submission. Linux: `DRM_IOCTL_AMDGPU_CS`. */
export interface Submission {
  readonly vm: GpuVm;
  /**
   * Buffers to lock, validate and fence. One may stand here twice. Nobody checks whether a job uses others too, as the
   * kernel cannot: such a job is not waited for by whoever takes those away.
   */
  readonly buffers: readonly Listed[];
  readonly commands: readonly Command[];
  /**
   * `implicit`: waits for WRITE fences of the buffers (and READ, where it writes) and adds one of those. `explicit`: waits
   * for KERNEL fences alone, and adds BOOKKEEP ones. @defaultValue "implicit"
   */
  readonly sync?: "implicit" | "explicit";
}

/** A job that was submitted. */
export interface GpuJob {
  /** Signals when all commands are done, or failed. The holder puts the reference it has. */
  readonly fence: DmaFence;
  /** How each access ended so far, in order. */
  readonly results: readonly AccessResult[];
}

/** What is still out: all zero when buffers are closed, address spaces destroyed and jobs over. */
export interface GpuImporterLedger {
  readonly buffers: number;
  readonly vms: number;
  /** Runs in force, borrowed ones too, and such as wait for a job to end before they are given back. */
  readonly runs: number;
  /** Ranges in address spaces. */
  readonly ranges: number;
  /** Page-table pages; those that lead to no entry are not counted. */
  readonly tables: number;
  readonly jobs: number;
}

/**
 * The importer of one GPU. All that sleeps takes reservations: call it holding none. What is refused leaves nothing behind.
 */
export interface GpuImporter {
  readonly name: string;
  readonly ledger: GpuImporterLedger;
  /**
   * Attaches as the driver does (`GpuOptions.importer`): dynamic and not mapped yet; dynamic and pinned; or static, mapped
   * for both directions until its close. The same dma-buf again is the same object, once more. Linux: `drm_gem_prime_fd_to_handle()`.
   * @throws DmaBufError `EINVAL` no dma-buf, stage `fd` · what the framework or the exporter refuses with: at stage `attach`, `pin`, `map` or `query`
   */
  import(buf: DmaBuf): Op<ImportedBuffer>;
  /**
   * Gives a handle back. With the last one: waits for the jobs that list it, takes it out of all address spaces, unmaps,
   * detaches and puts. Linux: `drm_gem_handle_delete()`.
   * @throws DmaBufError `ENOENT` it is closed, or another driver's. Stage `fd`
   */
  close(bo: ImportedBuffer): Op<void>;
  /** An empty address space. @throws DmaBufError `ENOMEM` no page-table page left. Stage `map` */
  createVm(): GpuVm;
  /**
   * Locks, maps and writes entries as a submission does, without a job: nothing says afterwards that it is in use.
   * @throws DmaBufError as {@link submit}
   */
  validate(vm: GpuVm, buffers: readonly Listed[]): Op<void>;
  /**
   * Locks the address space and every listed buffer, backing off and starting again where another holds one (`EDEADLK` is
   * never seen outside); maps what is not mapped; writes entries; waits, in the job, for the fences that say so; and adds
   * the job's fence. Returns when it is queued.
   * @throws DmaBufError `ENOENT` a closed or foreign buffer or address space, stage `fd` · `EINVAL` a command, a list
   * or a `sync` that is none, stage `fd` · `EAGAIN` a buffer of the address space that is not listed was invalidated meanwhile: submit
   * again, stage `map` · `EINTR` a signal, stage `lock` · `ENOMEM` · what the exporter refuses to map with (`ENODEV` it was
   * revoked, `EINVAL` no route) · `EINVAL` it ends behind a virtual function's slice, stage `map` · `EOPNOTSUPP` an address
   * of a space that this device is not in · what the DMA API or the page table refuses with
   */
  submit(what: Submission): Op<GpuJob>;
  /**
   * Maps at `va` what another device was told, without an attachment: no invalidate will reach it. Under a contract that
   * maps for one device that breaks a rule, and is a finding. `vm.unmap()` gives it back.
   * @throws DmaBufError `EOPNOTSUPP` an address of a space that this device is not in; or as `GpuVm.map`. Stage `map`
   */
  borrow(vm: GpuVm, va: number, runs: readonly Run[]): void;
}
