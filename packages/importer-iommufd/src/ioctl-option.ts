/** `IOMMU_OPTION`. Linux 7.3: `iommufd_option()`. */
import type { Op } from "@dma-buf/core";
import { IOMMU_OPTION_ID, IOMMU_OPTION_OP } from "./flags.js";
import type { Ioas } from "./ioas.js";
import type { IoctlContext } from "./ioctl-commands.js";
import { refuse } from "./refusal.js";
import type { IommuArgument } from "./uapi.js";
import { checkReserved, checkSwitch } from "./validate.js";

const OP = "IOMMU_OPTION";

type Option = IommuArgument<"OPTION">;

/** @throws DmaBufError at stage `map`: `EOPNOTSUPP` an option, an op or a field that is none · `ENOENT` · `EPERM` · `EBUSY` · `EINVAL` */
export function* setOption(context: IoctlContext, arg: Option, answer: (val64: bigint) => void): Op<void> {
  checkReserved(arg.reserved, OP);
  if (arg.optionId === IOMMU_OPTION_ID.RLIMIT_MODE) return answer(rlimitMode(context, arg));
  if (arg.optionId === IOMMU_OPTION_ID.HUGE_PAGES) return answer(yield* hugePages(context, arg));
  return refuse("EOPNOTSUPP", OP, `${arg.optionId} is no option: give one of IOMMU_OPTION_ID`, {
    optionId: arg.optionId,
  });
}

/** Whom pinned pages are booked on: 0 the user, 1 the process. Of the whole iommufd, and only before it has objects. */
function rlimitMode({ iommufd, isPrivileged = true }: IoctlContext, { op, objectId, val64 }: Option): bigint {
  if (objectId !== 0) refuse("EOPNOTSUPP", OP, "the mode is of the whole iommufd: give object id 0", { objectId });
  if (op === IOMMU_OPTION_OP.GET) return BigInt(iommufd.accountsProcess);
  needSet(op);
  if (!isPrivileged) refuse("EPERM", OP, "the caller has no CAP_SYS_RESOURCE", {});
  if (iommufd.objects.size > 0) refuse("EBUSY", OP, "the iommufd has objects: set the mode before the first", {});
  iommufd.accountsProcess = checkSwitch(val64);
  return val64;
}

/** May leaves be larger than a page? Of one IOAS. */
function* hugePages({ iommufd }: IoctlContext, { op, objectId, val64 }: Option): Op<bigint> {
  const ioas = iommufd.objects.get<Ioas>(objectId, "ioas", OP);
  if (op === IOMMU_OPTION_OP.GET) return BigInt(ioas.hugePages);
  needSet(op);
  using _ioas = iommufd.objects.hold(ioas);
  yield* ioas.setHugePages(checkSwitch(val64));
  return val64;
}

function needSet(op: number): void {
  if (op !== IOMMU_OPTION_OP.SET) refuse("EOPNOTSUPP", OP, `${op} is neither SET nor GET`, { op });
}
