import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

/** A refusal of this driver. @throws DmaBufError */
export function refuse(code: ErrnoName, stage: Stage, message: string, values: Record<string, unknown> = {}): never {
  throw new DmaBufError(code, { op: `udmabuf ${stage}`, stage, message, values });
}
