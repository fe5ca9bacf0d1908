/** Arrays of `struct iommu_iova_range` in the user's memory. */
import { DmaBufError } from "@dma-buf/core";
import type { IovaRange } from "./intervals.js";
import { IOVA_RANGE_BYTES } from "./uapi.js";
import { hex64 } from "./u64.js";
import type { UserCopy } from "./user-copy.js";

/** Each is read when it is asked for: what is wrong with one is told before the next is read. @throws DmaBufError `EFAULT` at stage `map` */
export function* loadAllowed(user: UserCopy, va: bigint, count: number): Generator<IovaRange, void> {
  for (let i = 0; i < count; i++) {
    const at = va + BigInt(i * IOVA_RANGE_BYTES);
    const bytes = user.copyFromUser(at, IOVA_RANGE_BYTES) ?? fault("IOMMU_IOAS_ALLOW_IOVAS", at);
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    yield { iova: view.getBigUint64(0, true), last: view.getBigUint64(8, true) };
  }
}

/** Those before the one that cannot be written stay written. @throws DmaBufError `EFAULT` at stage `map` */
export function storeRanges(user: UserCopy, va: bigint, ranges: readonly IovaRange[]): void {
  for (const [i, { iova, last }] of ranges.entries()) {
    const bytes = new Uint8Array(IOVA_RANGE_BYTES);
    const view = new DataView(bytes.buffer);
    view.setBigUint64(0, iova, true);
    view.setBigUint64(8, last, true);
    const at = va + BigInt(i * IOVA_RANGE_BYTES);
    if (!user.copyToUser(at, bytes)) fault("IOMMU_IOAS_IOVA_RANGES", at);
  }
}

function fault(op: string, va: bigint): never {
  const message = `the range at ${hex64(va)} is in no memory of the process: give memory that is there`;
  throw new DmaBufError("EFAULT", { op, stage: "map", message, values: { va } });
}
