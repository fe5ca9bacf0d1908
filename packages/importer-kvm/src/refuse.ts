import { DmaBufError, type ErrnoName, type Stage } from "@dma-buf/core";

/** A refusal of KVM. @throws DmaBufError */
export function refuse(
  code: ErrnoName,
  op: string,
  message: string,
  values: Record<string, unknown> = {},
  stage: Stage = "memslot",
): never {
  throw new DmaBufError(code, { op, stage, message, values });
}
