/** How the kernel takes an argument over, and gives the answer back. Linux 7.3: `iommufd_fops_ioctl()`, `ucmd_respond`. */
import { DmaBufError, type ErrnoName } from "@dma-buf/core";
import type { StructLayout } from "./struct-layout.js";

const SIZE_BYTES = 4;

/**
 * The argument as this kernel knows it: what userspace left out at its end is 0.
 * @param arg the memory behind the pointer; what is beyond its end cannot be read. null: the pointer is NULL
 * @throws DmaBufError at stage `map`: `EFAULT` memory that cannot be read · `EINVAL` shorter than it must be · `E2BIG`
 * longer than this kernel knows, and what is beyond is not 0
 */
export function copyFromUser(
  { name, sizeBytes, minBytes }: Pick<StructLayout<unknown>, "name" | "sizeBytes" | "minBytes">,
  arg: Uint8Array | null,
  op: string,
): Uint8Array {
  const bytes = readable(arg, SIZE_BYTES, op);
  const size = new DataView(bytes.buffer, bytes.byteOffset, SIZE_BYTES).getUint32(0, true);
  if (size < minBytes)
    refuse("EINVAL", op, `size ${size} is less than the ${minBytes} of ${name}: give sizeof`, { size });
  const user = readable(arg, size, op).subarray(0, size);
  if (user.subarray(sizeBytes).some((byte) => byte !== 0))
    refuse("E2BIG", op, `${name} has ${sizeBytes} bytes here, and what is beyond is not 0: ask for less`, { size });
  const own = new Uint8Array(sizeBytes);
  own.set(user.subarray(0, sizeBytes));
  return own;
}

/** As much as userspace said that it has room for, and as the struct has. */
export function copyToUser(arg: Uint8Array, own: Uint8Array): void {
  const size = new DataView(arg.buffer, arg.byteOffset, SIZE_BYTES).getUint32(0, true);
  arg.set(own.subarray(0, Math.min(size, own.length)));
}

function readable(arg: Uint8Array | null, sizeBytes: number, op: string): Uint8Array {
  if (arg && arg.length >= sizeBytes) return arg;
  return refuse("EFAULT", op, `${sizeBytes} bytes of the argument cannot be read: give memory that is there`, {
    sizeBytes,
  });
}

function refuse(code: ErrnoName, op: string, message: string, values: Record<string, unknown>): never {
  throw new DmaBufError(code, { op, stage: "map", message, values });
}
