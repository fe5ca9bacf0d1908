/** The DMA API of one device, as the machine offers it: core's two calls, and what else drivers ask of it. */
import type { Direction, DmaAddr, DmaApi, DmaMapAttributes, Op, PhysAddr } from "@dma-buf/core";

/** None of these calls sleeps; those of {@link DmaIovaState} that do are `Op`s. */
export interface DeviceDma extends DmaApi {
  /** The largest mapping that a bounce buffer cannot make fail, bytes; `Infinity`: no limit. Linux: `dma_max_mapping_size()`. */
  readonly maxMappingBytes: number;
  /** Before a CPU reads what the device wrote: a bounce buffer's bytes come to the original, but for `to-device`. */
  syncForCpu(address: DmaAddr, sizeBytes: number): void;
  /** Before the device reads what a CPU wrote: the original's bytes go to the bounce buffer, but for `from-device`. */
  syncForDevice(address: DmaAddr, sizeBytes: number): void;
  /**
   * IOVAs without a mapping yet, enough for `sizeBytes` from `physical` on. `null` where the device needs none, or none is
   * left: map with `mapPhys()` then. The caller destroys it. Linux: `dma_iova_try_alloc()`.
   */
  tryAllocIova(physical: PhysAddr, sizeBytes: number): DmaIovaState | null;
  /** Mappings and IOVA states that were not given back. */
  readonly live: number;
}

/** IOVAs that are filled piece by piece. Linux: `struct dma_iova_state`. Offsets and sizes are bytes from `address` on. */
export interface DmaIovaState {
  /** Where the first byte will be. */
  readonly address: DmaAddr;
  readonly sizeBytes: number;
  /**
   * Maps a piece. The device reaches it at once; hardware with a not-present cache would not, before {@link sync}.
   * @throws DmaBufError `EADDRINUSE` it is linked already · `EPERM` an unaligned piece of MMIO that an untrusted device
   * would need bounced · `EINVAL` empty, beyond the IOVAs, or they were given back · `ENOMEM` no table left, or unaligned
   * RAM of an untrusted device: Linux bounces that, which is not modelled here
   */
  link(offset: number, physical: PhysAddr, sizeBytes: number, direction: Direction, attributes: DmaMapAttributes): void;
  /** Flushes for *map*. The modelled IOMMUs cache no missing entries, so nothing is to be done. Linux: `dma_iova_sync()`. */
  sync(offset: number, sizeBytes: number): void;
  /**
   * Takes a linked piece back and flushes, under lazy flushing too. Sleeps at the flush's schedule points.
   * @throws DmaBufError `EINVAL` a part of it is not linked, or as {@link link}; nothing changed
   */
  unlink(offset: number, sizeBytes: number): Op<void>;
  /**
   * Unlinks `[0, mappedBytes)` and gives the IOVAs back, when the flush is done. Sleeps as {@link unlink}.
   * @throws DmaBufError `EINVAL` as {@link unlink}, or something beyond is linked; nothing changed
   */
  destroy(mappedBytes: number): Op<void>;
}
