/** Refusals, in one shape: the value, the rule, the remedy. */
import { DmaBufError, type ErrnoName } from "@dma-buf/core";
import type { Format, Protection } from "./format.js";

/** Refuses a call on a page table. @throws DmaBufError */
export function refuse(code: ErrnoName, op: string, message: string, values: Record<string, unknown>): never {
  throw new DmaBufError(code, { op, stage: "map", message, values });
}

/**
 * What a format throws for a protection that it cannot say.
 * @throws DmaBufError `EINVAL` unless another is given
 * @example
 * try {
 *   refuseProtection(ept, { read: false, write: true }, "write needs read: allow both");
 * } catch (error) {
 *   error.code; // "EINVAL"
 * }
 */
export function refuseProtection(
  format: Pick<Format, "id">,
  protection: Protection,
  rule: string,
  code: ErrnoName = "EINVAL",
): never {
  refuse(code, "map", `${format.id} cannot map ${describe(protection)}: ${rule}`, { protection });
}

/** `read, write, uc`. */
export function describe({ read, write, execute, cache, deviceMemory }: Protection): string {
  const words = [read && "read", write && "write", execute && "execute", cache, deviceMemory && "device memory"];
  return words.filter(Boolean).join(", ") || "nothing";
}
