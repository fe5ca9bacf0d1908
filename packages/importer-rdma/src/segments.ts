/** Runs that a function of the device reaches: all of them, or none. */
import { type Op, PAGE_SIZE, perform, type Run } from "@dma-buf/core";
import type { Mapped, Reach } from "./conduct.js";
import type { CheckedMr } from "./request.js";

/** Consecutive bytes of the buffer, where the device reaches them. */
export interface Segment extends Mapped {
  /** In the buffer. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/** Of what cannot be reached as a whole, nothing stays mapped. Does not sleep where all are reached. */
export function* reached(runs: readonly Run[], reach: Reach): Op<readonly Segment[]> {
  const segments: Segment[] = [];
  let done = false;
  try {
    for (const run of runs) {
      const mapped = yield* perform(reach(run));
      segments.push({ ...mapped, offset: run.offset, sizeBytes: run.sizeBytes });
    }
    done = true;
    return segments;
  } finally {
    if (!done) yield* released(segments);
  }
}

/** Gives back what {@link reached} took. */
export function* released(segments: readonly Segment[]): Op<void> {
  for (const segment of segments) yield* perform(segment.release());
}

/** The pages that the region touches: a copy is cut to them, and the exporter's table stays as it is. */
export function pagesOf({ offset, sizeBytes, buf }: CheckedMr): { readonly from: number; readonly sizeBytes: number } {
  const from = offset - (offset % PAGE_SIZE);
  const end = Math.ceil((offset + sizeBytes) / PAGE_SIZE) * PAGE_SIZE;
  return { from, sizeBytes: Math.min(end, buf.sizeBytes) - from };
}
