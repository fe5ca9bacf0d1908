/**
 * The ioctls of /dev/iommu: numbers and layouts. The size of an argument is in its first word, not in the number.
 * Linux 7.3: include/uapi/linux/iommufd.h.
 */
import { decode, struct, type StructLayout, write } from "./struct-layout.js";

/**
 * `_IO(';', nr)` of each ioctl that this package answers.
 * @example
 * IOMMU_IOCTL.IOAS_MAP_FILE; // 0x3b8f
 */
export const IOMMU_IOCTL = {
  DESTROY: 0x3b80,
  IOAS_ALLOC: 0x3b81,
  IOAS_ALLOW_IOVAS: 0x3b82,
  IOAS_COPY: 0x3b83,
  IOAS_IOVA_RANGES: 0x3b84,
  IOAS_MAP: 0x3b85,
  IOAS_UNMAP: 0x3b86,
  OPTION: 0x3b87,
  HWPT_ALLOC: 0x3b89,
  IOAS_MAP_FILE: 0x3b8f,
  IOAS_CHANGE_PROCESS: 0x3b92,
} as const;

/** Which ioctl, by name. */
export type IommuIoctl = keyof typeof IOMMU_IOCTL;

/** What userspace says to each ioctl, and is answered: fields of 64 bits are bigint. `size` is not among them. */
export interface IommuArguments {
  readonly DESTROY: { id: number };
  readonly IOAS_ALLOC: { flags: number; outIoasId: number };
  readonly IOAS_ALLOW_IOVAS: { ioasId: number; numIovas: number; reserved: number; allowedIovas: bigint };
  readonly IOAS_COPY: {
    flags: number;
    dstIoasId: number;
    srcIoasId: number;
    length: bigint;
    dstIova: bigint;
    srcIova: bigint;
  };
  readonly IOAS_IOVA_RANGES: {
    ioasId: number;
    numIovas: number;
    reserved: number;
    allowedIovas: bigint;
    outIovaAlignment: bigint;
  };
  readonly IOAS_MAP: { flags: number; ioasId: number; reserved: number; userVa: bigint; length: bigint; iova: bigint };
  readonly IOAS_UNMAP: { ioasId: number; iova: bigint; length: bigint };
  readonly OPTION: { optionId: number; op: number; reserved: number; objectId: number; val64: bigint };
  readonly HWPT_ALLOC: {
    flags: number;
    devId: number;
    ptId: number;
    outHwptId: number;
    reserved: number;
    dataType: number;
    dataLen: number;
    dataUptr: bigint;
    faultId: number;
    reserved2: number;
  };
  readonly IOAS_MAP_FILE: { flags: number; ioasId: number; fd: number; start: bigint; length: bigint; iova: bigint };
  readonly IOAS_CHANGE_PROCESS: { reserved: number };
}

/** Up to here a HWPT_ALLOC must reach: what follows came in later kernels. */
const HWPT_ALLOC_MIN_BYTES = 24;

/**
 * The struct of each ioctl.
 * @example
 * STRUCTS.IOAS_MAP_FILE.fields.fd; // [12, "s32"]
 */
export const STRUCTS: { readonly [N in IommuIoctl]: StructLayout<IommuArguments[N]> } = {
  DESTROY: struct<IommuArguments["DESTROY"]>("iommu_destroy", { id: [4, "u32"] }),
  IOAS_ALLOC: struct<IommuArguments["IOAS_ALLOC"]>("iommu_ioas_alloc", { flags: [4, "u32"], outIoasId: [8, "u32"] }),
  IOAS_ALLOW_IOVAS: struct<IommuArguments["IOAS_ALLOW_IOVAS"]>("iommu_ioas_allow_iovas", {
    ioasId: [4, "u32"],
    numIovas: [8, "u32"],
    reserved: [12, "u32"],
    allowedIovas: [16, "u64"],
  }),
  IOAS_COPY: struct<IommuArguments["IOAS_COPY"]>("iommu_ioas_copy", {
    flags: [4, "u32"],
    dstIoasId: [8, "u32"],
    srcIoasId: [12, "u32"],
    length: [16, "u64"],
    dstIova: [24, "u64"],
    srcIova: [32, "u64"],
  }),
  IOAS_IOVA_RANGES: struct<IommuArguments["IOAS_IOVA_RANGES"]>("iommu_ioas_iova_ranges", {
    ioasId: [4, "u32"],
    numIovas: [8, "u32"],
    reserved: [12, "u32"],
    allowedIovas: [16, "u64"],
    outIovaAlignment: [24, "u64"],
  }),
  IOAS_MAP: struct<IommuArguments["IOAS_MAP"]>("iommu_ioas_map", {
    flags: [4, "u32"],
    ioasId: [8, "u32"],
    reserved: [12, "u32"],
    userVa: [16, "u64"],
    length: [24, "u64"],
    iova: [32, "u64"],
  }),
  IOAS_UNMAP: struct<IommuArguments["IOAS_UNMAP"]>("iommu_ioas_unmap", {
    ioasId: [4, "u32"],
    iova: [8, "u64"],
    length: [16, "u64"],
  }),
  OPTION: struct<IommuArguments["OPTION"]>("iommu_option", {
    optionId: [4, "u32"],
    op: [8, "u16"],
    reserved: [10, "u16"],
    objectId: [12, "u32"],
    val64: [16, "u64"],
  }),
  HWPT_ALLOC: struct<IommuArguments["HWPT_ALLOC"]>(
    "iommu_hwpt_alloc",
    {
      flags: [4, "u32"],
      devId: [8, "u32"],
      ptId: [12, "u32"],
      outHwptId: [16, "u32"],
      reserved: [20, "u32"],
      dataType: [24, "u32"],
      dataLen: [28, "u32"],
      dataUptr: [32, "u64"],
      faultId: [40, "u32"],
      reserved2: [44, "u32"],
    },
    HWPT_ALLOC_MIN_BYTES,
  ),
  IOAS_MAP_FILE: struct<IommuArguments["IOAS_MAP_FILE"]>("iommu_ioas_map_file", {
    flags: [4, "u32"],
    ioasId: [8, "u32"],
    fd: [12, "s32"],
    start: [16, "u64"],
    length: [24, "u64"],
    iova: [32, "u64"],
  }),
  IOAS_CHANGE_PROCESS: struct<IommuArguments["IOAS_CHANGE_PROCESS"]>("iommu_ioas_change_process", {
    reserved: [4, "u32"],
  }),
};

/** The fields of one ioctl's struct. */
export type IommuArgument<N extends IommuIoctl> = IommuArguments[N];

/** Bytes of `struct iommu_iova_range`: u64 start, u64 last, both inside. */
export const IOVA_RANGE_BYTES = 16;

/**
 * The bytes of an ioctl's argument: what is not named is 0, `size` is the struct's own.
 * @throws RangeError a value that its field cannot hold
 * @example
 * Array.from(encodeIommu("DESTROY", { id: 1 })); // [8, 0, 0, 0, 1, 0, 0, 0]
 */
export function encodeIommu<N extends IommuIoctl>(name: N, values: Partial<IommuArgument<N>>): Uint8Array {
  const layout: StructLayout<IommuArgument<N>> = STRUCTS[name];
  const bytes = new Uint8Array(layout.sizeBytes);
  new DataView(bytes.buffer).setUint32(0, layout.sizeBytes, true);
  write(layout, bytes, values);
  return bytes;
}

/**
 * What an ioctl wrote back into its argument.
 * @example
 * decodeIommu("DESTROY", encodeIommu("DESTROY", { id: 7 })).id; // 7
 */
export function decodeIommu<N extends IommuIoctl>(name: N, bytes: Uint8Array): IommuArgument<N> {
  return decode<IommuArgument<N>>(STRUCTS[name], bytes);
}
