/**
 * iommufd as a dma-buf importer: IOAS, areas, hardware page tables, access objects. The factory of each contract is a
 * subpath: `@dma-buf/importer-iommufd/pfn`.
 *
 * @packageDocumentation
 */
export type { Access, AccessOps } from "./access.js";
export type { Area, Permissions } from "./area.js";
export type { IommufdDevice } from "./device.js";
export type { FillOptions, Filled } from "./fill.js";
export type {
  IommufdDomain,
  IommufdHost,
  KernelMemory,
  MemoryFile,
  OpenFile,
  PhysVec,
  Pinned,
  ReservedIovas,
  UserMemory,
} from "./host.js";
export type { Hwpt } from "./hwpt.js";
export type { AccessUser, IoPagetable } from "./io-pagetable.js";
export type { Ioas } from "./ioas.js";
export { iommufdIoctl } from "./ioctl.js";
export type { IoctlContext } from "./ioctl-commands.js";
export { IOMMU_IOAS_MAP_FLAGS, IOMMU_OPTION_ID, IOMMU_OPTION_OP } from "./flags.js";
export type { Iommufd } from "./iommufd.js";
export type { IovaRange } from "./intervals.js";
export type { AreaPiece, AreaSpan } from "./area-span.js";
export type { IovaSpace, PlaceRequest } from "./iova-space.js";
export type { Lock } from "./lock.js";
export type { MapFile } from "./map-file.js";
export type { MapCopy } from "./map-pages.js";
export type { IommufdObject, ObjectTable } from "./objects.js";
export type { Pages, Piece } from "./pages.js";
export type { Field, FieldValues, StructLayout } from "./struct-layout.js";
export {
  decodeIommu,
  encodeIommu,
  type IommuArgument,
  IOMMU_IOCTL,
  type IommuIoctl,
  STRUCTS,
} from "./uapi.js";
export type { UserCopy } from "./user-copy.js";
export type { MapArguments } from "./validate.js";
export type { IommufdFactory, IommufdPlugin } from "./variant.js";
export type { BufferRange, Guards, ImportBuffer, IommufdOptions, World } from "./world.js";
