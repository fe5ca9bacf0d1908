/** How the address side and the ioctls refuse. */
import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

export function refuse(code: ErrnoName, op: string, message: string, values: object, stage: Stage = "map"): never {
  throw new DmaBufError(code, { op, stage, message, values: { ...values } });
}
