/** Each ioctl: its checks in the kernel's order, and the method of the engine that does it. */
import type { Op } from "@dma-buf/core";
import type { Ioas } from "./ioas.js";
import { setOption } from "./ioctl-option.js";
import type { Iommufd } from "./iommufd.js";
import { refuse } from "./refusal.js";
import type { IommuArgument, IommuIoctl } from "./uapi.js";
import { loadRanges, storeRanges, type UserCopy } from "./user-copy.js";
import { checkFlags, checkMap, checkReserved } from "./validate.js";

/** What an ioctl works on. */
export interface IoctlContext {
  readonly iommufd: Iommufd;
  /** Behind the pointers in its argument. */
  readonly user: UserCopy;
  /** May the caller set what needs CAP_SYS_RESOURCE? @defaultValue true */
  readonly isPrivileged?: boolean;
}

/** Writes the fields back that the command answers with. */
type Respond<N extends IommuIoctl> = (values: Partial<IommuArgument<N>>) => void;
type Command<N extends IommuIoctl> = (context: IoctlContext, arg: IommuArgument<N>, respond: Respond<N>) => Op<void>;

export const COMMANDS: { readonly [N in IommuIoctl]: Command<N> } = {
  *DESTROY({ iommufd }, { id }) {
    yield* iommufd.objects.destroy(id);
  },

  *IOAS_ALLOC({ iommufd }, { flags }, respond) {
    checkFlags(flags, 0, "IOMMU_IOAS_ALLOC");
    const ioas = iommufd.createIoas();
    respond({ outIoasId: iommufd.objects.idOf(ioas) });
  },

  *IOAS_ALLOW_IOVAS({ iommufd, user }, { ioasId, numIovas, reserved, allowedIovas }) {
    const op = "IOMMU_IOAS_ALLOW_IOVAS";
    checkReserved(reserved, op);
    const ioas = ioasOf(iommufd, ioasId, op);
    ioas.space.allow(loadRanges(user, allowedIovas, numIovas, op));
  },

  *IOAS_COPY({ iommufd }, { flags, dstIoasId, srcIoasId, length, dstIova, srcIova }, respond) {
    const op = "IOMMU_IOAS_COPY";
    const arg = { flags, iova: dstIova, length, srcIova };
    checkMap(arg, op);
    const src = ioasOf(iommufd, srcIoasId, op);
    src.space.contiguous(srcIova, length);
    const dst = ioasOf(iommufd, dstIoasId, op);
    using _dst = iommufd.objects.hold(dst);
    respond({ dstIova: yield* dst.copy({ ...arg, src }) });
  },

  *IOAS_IOVA_RANGES({ iommufd, user }, { ioasId, numIovas, reserved, allowedIovas }, respond) {
    const op = "IOMMU_IOAS_IOVA_RANGES";
    checkReserved(reserved, op);
    const { space } = ioasOf(iommufd, ioasId, op);
    const ranges = space.ranges();
    storeRanges(user, allowedIovas, ranges.slice(0, numIovas), op);
    respond({ numIovas: ranges.length, outIovaAlignment: space.alignment });
    if (ranges.length > numIovas)
      refuse("EMSGSIZE", op, `there are ${ranges.length} ranges: give room for as many`, { numIovas });
  },

  *IOAS_MAP({ iommufd }, { flags, ioasId, reserved, userVa, length, iova }, respond) {
    const op = "IOMMU_IOAS_MAP";
    const arg = { flags, iova, length };
    checkReserved(reserved, op);
    checkMap(arg, op);
    const ioas = ioasOf(iommufd, ioasId, op);
    using _ioas = iommufd.objects.hold(ioas);
    respond({ iova: yield* ioas.map({ ...arg, userVa }) });
  },

  *IOAS_MAP_FILE({ iommufd }, { flags, ioasId, fd, start, length, iova }, respond) {
    const op = "IOMMU_IOAS_MAP_FILE";
    const arg = { flags, iova, length };
    checkMap(arg, op);
    const ioas = ioasOf(iommufd, ioasId, op);
    using _ioas = iommufd.objects.hold(ioas);
    respond({ iova: yield* ioas.mapFile({ ...arg, file: fd, start }) });
  },

  *IOAS_UNMAP({ iommufd }, { ioasId, iova, length }, respond) {
    const ioas = ioasOf(iommufd, ioasId, "IOMMU_IOAS_UNMAP");
    using _ioas = iommufd.objects.hold(ioas);
    respond({ length: yield* ioas.unmap(iova, length) });
  },

  *OPTION(context, arg, respond) {
    yield* setOption(context, arg, (val64) => respond({ val64 }));
  },

  *HWPT_ALLOC({ iommufd }, arg, respond) {
    respond({ outHwptId: yield* iommufd.hwptAlloc(arg) });
  },

  *IOAS_CHANGE_PROCESS({ iommufd }, { reserved }) {
    checkReserved(reserved, "IOMMU_IOAS_CHANGE_PROCESS");
    yield* iommufd.changeProcess();
  },
};

function ioasOf(iommufd: Iommufd, id: number, op: string): Ioas {
  return iommufd.objects.get<Ioas>(id, "ioas", op);
}
