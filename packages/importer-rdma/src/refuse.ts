/** How this importer refuses. Registration is a mapping: stage `map`. */
import { DmaBufError, type ErrnoName } from "@dma-buf/core";

export function refusal(
  code: ErrnoName,
  op: string,
  message: string,
  values: Record<string, unknown> = {},
): DmaBufError {
  return new DmaBufError(code, { op, stage: "map", message, values });
}
