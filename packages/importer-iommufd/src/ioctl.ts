/**
 * /dev/iommu as userspace has it: an ioctl's number and the bytes of its argument, routed to the engine. Linux 7.3:
 * drivers/iommu/iommufd/{main,ioas,hw_pagetable}.c.
 */
import { DmaBufError, type Op } from "@dma-buf/core";
import { COMMANDS, type IoctlContext } from "./ioctl-commands.js";
import { copyFromUser, copyToUser } from "./ioctl-argument.js";
import { decode, type StructLayout, write } from "./struct-layout.js";
import { IOMMU_IOCTL, type IommuArgument, type IommuIoctl, STRUCTS } from "./uapi.js";

const NAMES = new Map(Object.entries(IOMMU_IOCTL).map(([name, nr]) => [nr as number, name as IommuIoctl]));

/**
 * One ioctl on an iommufd. What it answers is written back into `arg`; where it is refused, `arg` stays as it is, but for
 * IOVA_RANGES, which tells how many there are together with `EMSGSIZE`.
 * @param context what the ioctl works on, and the memory behind the pointers in its argument
 * @param nr `IOMMU_IOCTL`
 * @param arg the memory behind the argument; null: NULL
 * @returns 0
 * @throws DmaBufError: `ENOTTY` no such ioctl, or one that is not modelled · `EFAULT` · `EINVAL` · `E2BIG` its size · what
 * the command itself refuses
 * @example
 * const arg = encodeIommu("IOAS_ALLOC", {});
 * yield* iommufdIoctl({ iommufd, user }, IOMMU_IOCTL.IOAS_ALLOC, arg);
 * arg[8]; // 1
 */
export function* iommufdIoctl(context: IoctlContext, nr: number, arg: Uint8Array | null): Op<number> {
  const name = NAMES.get(nr);
  if (name === undefined)
    throw new DmaBufError("ENOTTY", {
      op: "ioctl",
      stage: "map",
      message: `0x${nr.toString(16)} is no ioctl of iommufd, or none that is modelled: give one of IOMMU_IOCTL`,
      values: { nr },
    });
  yield* execute(context, name, arg);
  return 0;
}

function* execute<N extends IommuIoctl>(context: IoctlContext, name: N, arg: Uint8Array | null): Op<void> {
  const layout: StructLayout<IommuArgument<N>> = STRUCTS[name];
  const own = copyFromUser(layout, arg, `IOMMU_${name}`);
  const respond = (values: Partial<IommuArgument<N>>): void => {
    write(layout, own, values);
    if (arg) copyToUser(arg, own);
  };
  yield* COMMANDS[name](context, decode(layout, own), respond);
}
