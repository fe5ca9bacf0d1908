/** How this importer refuses. Registration is a mapping: stage `map`. */
import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

export function refusal(
  code: ErrnoName,
  op: string,
  message: string,
  values: Record<string, unknown> = {},
  stage: Stage = "map",
): DmaBufError {
  return new DmaBufError(code, { op, stage, message, values });
}

/** @throws DmaBufError `EINVAL` nothing stands where an object belongs */
export function checkObject(name: string, given: unknown, op: string): void {
  if (typeof given !== "object" || given === null) throw refusal("EINVAL", op, `${name} is ${String(given)}: give one`);
}
