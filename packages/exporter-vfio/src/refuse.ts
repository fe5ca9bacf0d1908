/** How this exporter refuses. */
import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

export function refuse(code: ErrnoName, stage: Stage, message: string, values: Record<string, unknown> = {}): never {
  throw new DmaBufError(code, { op: `vfio-pci ${stage}`, stage, message, values });
}
