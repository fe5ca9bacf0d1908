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

/** Before all rows: the 64-bit fields of a structure. @throws DmaBufError `EINVAL` for one that is no bigint */
export function needBigints(op: string, fields: Record<string, unknown>, stage: Stage = "memslot"): void {
  for (const [name, value] of Object.entries(fields))
    if (typeof value !== "bigint")
      refuse("EINVAL", op, `${name} ${String(value)} is a ${typeof value}: give a bigint`, { [name]: value }, stage);
}
