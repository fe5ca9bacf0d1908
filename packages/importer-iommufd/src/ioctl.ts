/**
 * /dev/iommu as userspace has it: an ioctl's number and the bytes of its argument, routed to the engine. Linux 7.3:
 * drivers/iommu/iommufd/main.c, `iommufd_fops_ioctl()`.
 */
import type { Op } from "@dma-buf/core";
import { COMMANDS, type IoctlContext } from "./ioctl-commands.js";
import { refuse } from "./refusal.js";
import { type StructLayout, write } from "./struct-layout.js";
import { decodeIommu, IOMMU_IOCTL, type IommuArgument, type IommuIoctl, STRUCTS } from "./uapi.js";

const NAMES = new Map(Object.entries(IOMMU_IOCTL).map(([name, nr]) => [nr as number, name as IommuIoctl]));
const SIZE_BYTES = 4;

/**
 * One ioctl on an iommufd. What it answers is written back into `arg`; where it is refused, `arg` stays as it is, but for
 * IOVA_RANGES, which tells how many there are together with `EMSGSIZE`.
 * @param context what the ioctl works on, and the memory behind the pointers in its argument
 * @param nr `IOMMU_IOCTL`
 * @param arg the memory behind the argument; null: NULL
 * @returns 0
 * @throws DmaBufError: `ENOTTY` no such ioctl, or one that is not modelled · `EFAULT` memory that cannot be read · `EINVAL`
 * shorter than it must be · `E2BIG` longer than this kernel knows, and what is beyond is not 0 · what the command itself refuses
 * @example
 * const arg = encodeIommu("IOAS_ALLOC", {});
 * yield* iommufdIoctl({ iommufd, user }, IOMMU_IOCTL.IOAS_ALLOC, arg);
 * arg[8]; // 1
 */
export function* iommufdIoctl(context: IoctlContext, nr: number, arg: Uint8Array | null): Op<number> {
  const name = NAMES.get(nr);
  if (name === undefined)
    return refuse(
      "ENOTTY",
      "ioctl",
      `0x${nr.toString(16)} is no ioctl of iommufd, or none that is modelled: give one of IOMMU_IOCTL`,
      { nr },
    );
  yield* execute(context, name, readable(arg, SIZE_BYTES, `IOMMU_${name}`));
  return 0;
}

function* execute<N extends IommuIoctl>(context: IoctlContext, name: N, arg: Uint8Array): Op<void> {
  const layout: StructLayout = STRUCTS[name];
  const size = sizeOf(arg);
  const own = copyStruct(layout, arg, size, `IOMMU_${name}`);
  const respond = (values: Partial<IommuArgument<N>>): void => {
    write(layout, own, values);
    // As much as userspace had room for when it called: it may write there meanwhile.
    arg.set(own.subarray(0, size));
  };
  yield* COMMANDS[name](context, decodeIommu(name, own), respond);
}

/** The argument as this kernel knows it: what userspace left out at its end is 0. Linux: `copy_struct_from_user()`. */
function copyStruct(
  { name, sizeBytes, minBytes = sizeBytes }: StructLayout,
  arg: Uint8Array,
  size: number,
  op: string,
): Uint8Array {
  if (size < minBytes)
    refuse("EINVAL", op, `size ${size} is less than the ${minBytes} of ${name}: give sizeof`, { size });
  const user = readable(arg, size, op).subarray(0, size);
  if (user.subarray(sizeBytes).some((byte) => byte !== 0))
    refuse("E2BIG", op, `${name} has ${sizeBytes} bytes here, and what is beyond is not 0: ask for less`, { size });
  const own = new Uint8Array(sizeBytes);
  own.set(user.subarray(0, sizeBytes));
  return own;
}

const sizeOf = (arg: Uint8Array): number => new DataView(arg.buffer, arg.byteOffset, SIZE_BYTES).getUint32(0, true);

/** What is beyond the end of `arg` cannot be read. */
function readable(arg: Uint8Array | null, sizeBytes: number, op: string): Uint8Array {
  if (arg && arg.length >= sizeBytes) return arg;
  return refuse("EFAULT", op, `${sizeBytes} bytes of the argument cannot be read: give memory that is there`, {
    sizeBytes,
  });
}
