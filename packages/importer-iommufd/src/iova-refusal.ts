/** How the address side refuses. */
import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

export function refuseIova(
  code: ErrnoName,
  message: string,
  values: object,
  op = "IOMMU_IOAS_MAP",
  stage: Stage = "map",
): never {
  throw new DmaBufError(code, { op, stage, message, values: { ...values } });
}
