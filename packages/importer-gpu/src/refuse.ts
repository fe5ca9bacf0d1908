/** How this importer refuses; `op` is the kernel's function. */
import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

export function refuse(
  code: ErrnoName,
  op: string,
  stage: Stage,
  message: string,
  values: Record<string, unknown> = {},
): never {
  throw new DmaBufError(code, { op, stage, message, values });
}
