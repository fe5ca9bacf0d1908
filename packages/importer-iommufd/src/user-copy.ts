/** Memory of the process that calls, as far as pointers in an argument lead into it. */
import type { IovaRange } from "./intervals.js";
import { refuse } from "./refusal.js";
import { hex64 } from "./u64.js";

/** What the kernel's functions of these names reach; neither does half of it. */
export interface UserCopy {
  /** @returns null: not all of it can be read */
  copyFromUser(va: bigint, sizeBytes: number): Uint8Array | null;
  /** @returns false: not all of it can be written */
  copyToUser(va: bigint, bytes: Uint8Array): boolean;
}

/** Bytes of `struct iommu_iova_range`: u64 start, u64 last, both inside. */
const RANGE_BYTES = 16;

/** Each is read when it is asked for: what is wrong with one is told before the next is read. @throws DmaBufError `EFAULT` at stage `map` */
export function* loadRanges(user: UserCopy, va: bigint, count: number, op: string): Generator<IovaRange, void> {
  for (let i = 0; i < count; i++) {
    const at = va + BigInt(i * RANGE_BYTES);
    const bytes = user.copyFromUser(at, RANGE_BYTES) ?? fault(op, at);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    yield { iova: view.getBigUint64(0, true), last: view.getBigUint64(8, true) };
  }
}

/** Those before the one that cannot be written stay written. @throws DmaBufError `EFAULT` at stage `map` */
export function storeRanges(user: UserCopy, va: bigint, ranges: readonly IovaRange[], op: string): void {
  for (const [i, { iova, last }] of ranges.entries()) {
    const bytes = new Uint8Array(RANGE_BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, iova, true);
    view.setBigUint64(8, last, true);
    const at = va + BigInt(i * RANGE_BYTES);
    if (!user.copyToUser(at, bytes)) fault(op, at);
  }
}

function fault(op: string, va: bigint): never {
  return refuse("EFAULT", op, `the range at ${hex64(va)} is in no memory of the process: give memory that is there`, {
    va,
  });
}
