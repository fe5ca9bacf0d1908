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

/** @throws DmaBufError `EINVAL` nothing stands where an object belongs */
export function checkObject(name: string, given: unknown, op: string): void {
  if (typeof given !== "object" || given === null) refuse("EINVAL", op, "fd", `${name} is ${String(given)}: give one`);
}

/** @throws DmaBufError `EINVAL` a word that is none of `words` */
export function checkWord(name: string, given: string, words: readonly string[], op: string): void {
  if (!words.includes(given)) refuse("EINVAL", op, "fd", `no ${name} is called ${given}: give ${words.join(", ")}`);
}
