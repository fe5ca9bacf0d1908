/** What a program gets wrong and no process can: the wrong kind of value. It is told by name, before anything is done. */
import type { VcpuAccess, VcpuOptions } from "./vcpu.js";

const VIEWS: readonly string[] = ["private", "shared"];

/** @throws TypeError for `null`, and what is no object */
export function needObject(value: unknown, name: string, wanted: string): void {
  if (typeof value !== "object" || value === null) throw new TypeError(`${name} is ${String(value)}: give ${wanted}`);
}

/** @throws TypeError what to store is no bytes, a view that is none · RangeError no address, no length */
export function checkAccess({ access, gpa, what }: VcpuAccess, { view }: VcpuOptions): void {
  if (!isWhole(gpa)) throw new RangeError(`gpa ${String(gpa)} is no address: give a whole number from 0 on`);
  if (access === "write" && !(what instanceof Uint8Array))
    throw new TypeError(`bytes to write are a ${typeof what}: give a Uint8Array`);
  if (access !== "write" && !isWhole(what))
    throw new RangeError(`sizeBytes ${String(what)} is no length: give a whole number from 0 on`);
  if (view !== undefined && !VIEWS.includes(view))
    throw new TypeError(`view ${view} is none: give ${VIEWS.join(" or ")}, or leave it out`);
}

function isWhole(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
