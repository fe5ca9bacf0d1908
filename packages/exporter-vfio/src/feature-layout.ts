/**
 * How the argument of the ioctl `VFIO_DEVICE_FEATURE` is laid out. Little endian, as the machines are that assign devices.
 * Linux 7.3: include/uapi/linux/vfio.h.
 *
 * `struct vfio_device_feature`: u32 argsz, u32 flags, data from byte 8 on. For dma-buf the data is
 * `struct vfio_device_feature_dma_buf`: u32 region_index, u32 open_flags, u32 flags (0), u32 nr_ranges, and from byte 24 on
 * `nr_ranges` times u64 offset, u64 length.
 */
import { isU32, isU64, shown, U64_REMEDY } from "./shape.js";
import { type DmaRange, RANGE_BYTES } from "./validate.js";

/**
 * The ioctl's number on the device's fd: `_IO(';', 117)`.
 * @example
 * VFIO_DEVICE_FEATURE; // 0x3b75
 */
export const VFIO_DEVICE_FEATURE = 0x3b75;
/**
 * Which feature: the low 16 bits of the header's flags.
 * @example
 * VFIO_DEVICE_FEATURE_DMA_BUF; // 11
 */
export const VFIO_DEVICE_FEATURE_DMA_BUF = 11;
/**
 * What to do with the feature: GET makes the buffer, SET does not exist for dma-buf, PROBE only asks.
 * @example
 * VFIO_DEVICE_FEATURE_FLAG.PROBE | VFIO_DEVICE_FEATURE_FLAG.GET; // 0x50000
 */
export const VFIO_DEVICE_FEATURE_FLAG = { GET: 0x1_0000, SET: 0x2_0000, PROBE: 0x4_0000 } as const;

/** Bytes of `struct vfio_device_feature`, and of the dma-buf's data without its ranges. */
export const HEADER_BYTES = 8;
export const DMA_BUF_BYTES = 16;

/** What userspace asks for. */
export interface DmaBufFeature {
  /** The BAR, 0 to 5. */
  readonly regionIndex: number;
  /** The file keeps `O_ACCMODE | O_NONBLOCK` of these, the fd `O_CLOEXEC`; all others mean nothing. */
  readonly openFlags: number;
  readonly ranges: readonly DmaRange[];
}

/**
 * The bytes of a request, to be probed, altered or sent. `flags`: what to do with the feature.
 * @throws RangeError a value that its field cannot hold, or `flags` that name another feature: no kernel was asked yet
 * @example
 * const arg = encodeDmaBufFeature({ regionIndex: 0, openFlags: 0, ranges: [{ offset: 0, length: 4096 }] });
 * arg.length; // 40
 */
export function encodeDmaBufFeature(request: DmaBufFeature, flags: number = VFIO_DEVICE_FEATURE_FLAG.GET): Uint8Array {
  const { regionIndex, openFlags, ranges } = request;
  needFlags(flags);
  const arg = new Uint8Array(HEADER_BYTES + DMA_BUF_BYTES + ranges.length * RANGE_BYTES);
  const view = new DataView(arg.buffer);
  const words = {
    argsz: arg.length,
    flags: (flags | VFIO_DEVICE_FEATURE_DMA_BUF) >>> 0,
    regionIndex,
    openFlags,
    requestFlags: 0,
    nrRanges: ranges.length,
  };
  for (const [i, [name, value]] of Object.entries(words).entries()) view.setUint32(i * 4, u32(name, value), true);
  for (const [i, { offset, length }] of ranges.entries()) {
    const at = HEADER_BYTES + DMA_BUF_BYTES + i * RANGE_BYTES;
    view.setBigUint64(at, u64("offset", offset), true);
    view.setBigUint64(at + 8, u64("length", length), true);
  }
  return arg;
}

function needFlags(flags: number): void {
  const feature = u32("flags", flags) & 0xffff;
  if (feature !== 0 && feature !== VFIO_DEVICE_FEATURE_DMA_BUF)
    throw new RangeError(`flags 0x${flags.toString(16)} name feature ${feature}: leave the low 16 bits 0`);
}

function u32(name: string, value: number): number {
  if (isU32(value)) return value;
  throw new RangeError(`${name} ${shown(value)} is no unsigned 32-bit value: give an integer from 0 below 2^32`);
}

function u64(name: string, value: number | bigint): bigint {
  if (isU64(value)) return BigInt(value);
  throw new RangeError(`${name} ${shown(value)} is no unsigned 64-bit value: ${U64_REMEDY}`);
}
