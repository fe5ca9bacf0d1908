/** What the ioctls call. The engine fits. */
import type { Op } from "@dma-buf/core";
import type { AreaSpan } from "./area-span.js";
import type { IovaSpace } from "./iova-space.js";
import type { IommufdObject, ObjectTable } from "./objects.js";
import type { IommuArgument } from "./uapi.js";
import type { MapArguments } from "./validate.js";

/** One IOAS. */
export interface IoasLike extends IommufdObject {
  readonly kind: "ioas";
  readonly space: IovaSpace<AreaSpan>;
  readonly hugePages: boolean;
  map(what: MapArguments & { readonly userVa: bigint }): Op<bigint>;
  mapFile(what: MapArguments & { readonly file: number; readonly start: bigint }): Op<bigint>;
  copy(what: MapArguments & { readonly src: IoasLike; readonly srcIova: bigint }): Op<bigint>;
  unmap(iova: bigint, length: bigint): Op<bigint>;
  setHugePages(on: boolean): Op<void>;
}

/** One open /dev/iommu. */
export interface IommufdLike {
  readonly objects: ObjectTable;
  /** Are pinned pages booked on the process, and not on the user? `IOMMU_OPTION_RLIMIT_MODE`. */
  accountsProcess: boolean;
  createIoas(): IoasLike;
  hwptAlloc(arg: IommuArgument<"HWPT_ALLOC">): Op<number>;
  changeProcess(): Op<void>;
}
