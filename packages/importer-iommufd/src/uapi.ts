/**
 * The ioctls of /dev/iommu: numbers and layouts. The size of an argument is in its first word, not in the number.
 * Linux 7.3: include/uapi/linux/iommufd.h.
 */
import { decode, type FieldValues, type StructLayout, write } from "./struct-layout.js";

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

/**
 * The struct of each ioctl.
 * @example
 * STRUCTS.IOAS_MAP_FILE.fields.fd; // [12, "s32"]
 */
export const STRUCTS = {
  DESTROY: { name: "iommu_destroy", sizeBytes: 8, fields: { id: [4, "u32"] } },
  IOAS_ALLOC: { name: "iommu_ioas_alloc", sizeBytes: 12, fields: { flags: [4, "u32"], outIoasId: [8, "u32"] } },
  IOAS_ALLOW_IOVAS: {
    name: "iommu_ioas_allow_iovas",
    sizeBytes: 24,
    fields: { ioasId: [4, "u32"], numIovas: [8, "u32"], reserved: [12, "u32"], allowedIovas: [16, "u64"] },
  },
  IOAS_COPY: {
    name: "iommu_ioas_copy",
    sizeBytes: 40,
    fields: {
      flags: [4, "u32"],
      dstIoasId: [8, "u32"],
      srcIoasId: [12, "u32"],
      length: [16, "u64"],
      dstIova: [24, "u64"],
      srcIova: [32, "u64"],
    },
  },
  IOAS_IOVA_RANGES: {
    name: "iommu_ioas_iova_ranges",
    sizeBytes: 32,
    fields: {
      ioasId: [4, "u32"],
      numIovas: [8, "u32"],
      reserved: [12, "u32"],
      allowedIovas: [16, "u64"],
      outIovaAlignment: [24, "u64"],
    },
  },
  IOAS_MAP: {
    name: "iommu_ioas_map",
    sizeBytes: 40,
    fields: {
      flags: [4, "u32"],
      ioasId: [8, "u32"],
      reserved: [12, "u32"],
      userVa: [16, "u64"],
      length: [24, "u64"],
      iova: [32, "u64"],
    },
  },
  IOAS_UNMAP: {
    name: "iommu_ioas_unmap",
    sizeBytes: 24,
    fields: { ioasId: [4, "u32"], iova: [8, "u64"], length: [16, "u64"] },
  },
  OPTION: {
    name: "iommu_option",
    sizeBytes: 24,
    fields: { optionId: [4, "u32"], op: [8, "u16"], reserved: [10, "u16"], objectId: [12, "u32"], val64: [16, "u64"] },
  },
  HWPT_ALLOC: {
    name: "iommu_hwpt_alloc",
    sizeBytes: 48,
    // What follows the first reserved word came in later kernels.
    minBytes: 24,
    fields: {
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
  },
  IOAS_MAP_FILE: {
    name: "iommu_ioas_map_file",
    sizeBytes: 40,
    fields: {
      flags: [4, "u32"],
      ioasId: [8, "u32"],
      fd: [12, "s32"],
      start: [16, "u64"],
      length: [24, "u64"],
      iova: [32, "u64"],
    },
  },
  IOAS_CHANGE_PROCESS: { name: "iommu_ioas_change_process", sizeBytes: 8, fields: { reserved: [4, "u32"] } },
} as const;

/** What userspace says to an ioctl, and is answered: fields of 64 bits are bigint. `size` is not among them. */
export type IommuArgument<N extends IommuIoctl> = FieldValues<(typeof STRUCTS)[N]["fields"]>;

/**
 * The bytes of an ioctl's argument: what is not named is 0, `size` is the struct's own.
 * @throws RangeError a value that its field cannot hold
 * @example
 * Array.from(encodeIommu("DESTROY", { id: 1 })); // [8, 0, 0, 0, 1, 0, 0, 0]
 */
export function encodeIommu<N extends IommuIoctl>(name: N, values: Partial<IommuArgument<N>>): Uint8Array {
  const layout: StructLayout = STRUCTS[name];
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
  // Each field is read as its type says, which IommuArgument has from the same table.
  return decode(STRUCTS[name], bytes) as IommuArgument<N>;
}
