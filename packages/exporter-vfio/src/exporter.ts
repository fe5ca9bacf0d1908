/** What a user of this package holds: one assigned function that exports. */
import type { DmaBuf, MaySleep, Op, Vma } from "@dma-buf/core";
import type { PrivateBinding } from "./private.js";
import type { DmaRange } from "./validate.js";

/** What is exported. */
export interface VfioExport {
  /** 0 to 5: all ranges lie in one BAR. */
  readonly regionIndex: number;
  /** In the buffer they follow one another in this order. They may overlap and repeat. */
  readonly ranges: readonly DmaRange[];
  /** Of these, the buffer's file keeps `O_ACCMODE` and `O_NONBLOCK`. @defaultValue 0 */
  readonly openFlags?: number;
}

/** What is still out: all zero when every table was given back and every buffer is released, or the device closed. */
export interface VfioLedger {
  /** Entry arrays of scatter-gather tables that were made and not freed. */
  readonly sgTables: number;
  /** Buffers that keep the device from being unregistered. */
  readonly registrations: number;
}

/**
 * `memory_lock` of one device, held for writing: what may be done meanwhile. Whoever took it ends it. All but `end` throw a
 * `TypeError` after that: the lock may be somebody else's by then.
 */
export interface MemorySection {
  /** Takes every buffer away from its importers and waits until it is theirs no more, as the contract has it. */
  revoke(): Op<void>;
  /** Lets importers ask again, if the memory is there. What they had is gone: nothing is mapped again for them. */
  restore(): Op<void>;
  /** Before a reset: a function that is asleep is reset awake. */
  wake(): Op<void>;
  /** Gives the lock back; a second time does nothing. */
  end(): Op<void>;
}

/**
 * One assigned function, its fd open. All operations that change whether the memory is there take `memory_lock` of the
 * device for writing, then each buffer's reservation: call them holding neither. They revoke before the memory goes and
 * give back after it came; a revoke waits for what the contract's policy names, without a timeout: an importer that
 * never unmaps keeps them for ever. All sleep.
 */
export interface VfioExporter {
  /** The function's address. */
  readonly name: string;
  /** Until {@link close}. After it all that goes through the fd answers `EBADF` at stage `fd` ({@link export}: `export`). */
  readonly isOpen: boolean;
  /**
   * Exports ranges of a BAR; the caller gets the one reference. Takes `memory_lock`. While the memory is disabled the
   * buffer is born revoked. It keeps the device registered until it is released, or the device closed.
   * @throws DmaBufError at stage `export`, with nothing left behind: `ENODEV` no such BAR, or the device is being
   * unregistered · `EINVAL` no range, empty, unaligned or beyond the BAR, or the BAR has no peer-to-peer provider ·
   * `EOVERFLOW` a range wraps · `EBUSY` the device is one VM's, and a part of it is exported already · `ENOMEM` ·
   * `EBADF` the device was closed · TypeError what is no object with an array of ranges
   */
  export(what: VfioExport): Op<DmaBuf>;
  /**
   * `VFIO_DEVICE_FEATURE` with the ioctl's bytes, native endian. Probing answers 0 and makes nothing. Else `install` is
   * given the buffer with its one reference and answers the fd; if it throws, or answers none, the buffer is put.
   * @throws DmaBufError as {@link export}, and `EFAULT`, `EINVAL`, `ENOTTY` for the argument, `EOPNOTSUPP` for a driver
   * that does not export, or what `install` throws
   */
  deviceFeature(arg: Uint8Array, install: (buf: DmaBuf, openFlags: number) => MaySleep<number>): Op<number>;
  /**
   * COMMAND.MEMORY as the guest writes it. Gives back what its memory allows even if the host's write throws.
   * @throws TypeError `on` is no boolean; nothing was revoked
   */
  setMemoryEnabled(on: boolean): Op<void>;
  /**
   * The power management capability as the guest writes it. D3hot and deeper take the memory away.
   * @throws DmaBufError `EINVAL` a state that the host does not know, D1 and D2 among them
   */
  setPowerState(to: "D0" | "D3hot" | "D3cold"): Op<void>;
  /** A function level reset by the guest, through its capability; nothing at all where the function has none. */
  functionLevelReset(): Op<void>;
  /**
   * `VFIO_DEVICE_RESET`. Gives back even if the reset failed.
   * @throws DmaBufError `EINVAL` the function cannot be reset; nothing was revoked · what the host's reset throws
   */
  reset(): Op<void>;
  /**
   * `VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY`. Linux revokes before it looks whether it is there already, and so does this.
   * @throws DmaBufError `EINVAL` it has entered low power already
   */
  enterLowPower(): Op<void>;
  /** `VFIO_DEVICE_FEATURE_LOW_POWER_EXIT`, or the first access that wakes it. */
  exitLowPower(): Op<void>;
  /**
   * The last close of the device's fd. Its buffers live on, revoked for good: they belong to no device any more.
   * @throws DmaBufError `EBADF` it was closed before
   */
  close(): Op<void>;
  /**
   * Takes the device out of VFIO: waits until it is closed and no buffer keeps it. New exports answer `ENODEV`. (Linux asks
   * whether a registration is left, and an open fd has one of its own: there the errno exists and is never seen.)
   */
  unregister(): Op<void>;
  /**
   * Takes every buffer away from its importers, for no reason that the guest gave. Idempotent. It does not go through the
   * fd: after the close it finds nothing to do, as does {@link restore}.
   */
  revoke(): Op<void>;
  /** Undoes {@link revoke}, if the memory is enabled. What importers had is gone: nothing is mapped again for them. */
  restore(): Op<void>;
  /**
   * `mmap()` of BAR `regionIndex` through the device's fd; `vma.pgoff` counts pages from its beginning.
   * @throws DmaBufError at stage `mmap`
   */
  mmapRegion(regionIndex: number, vma: Vma): void;
  /** The binding of this device to one VM alone, as the RFC of January 2025 has it. */
  readonly binding: PrivateBinding;
  /**
   * `memory_lock` for writing, if it is free; for {@link hotReset}. The caller ends it.
   * @example
   * const section = exporter.tryLockMemory("an example");
   * yield* section.revoke();
   * yield* section.restore();
   * yield* section.end();
   */
  tryLockMemory(why: string): MemorySection | null;
  readonly ledger: VfioLedger;
}
