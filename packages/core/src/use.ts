/** The part of every importer that must know whether the lock is its own: asking for runs and installing them. */
import type { Window } from "./contract.js";
import type { DmaBufAttachment } from "./dma-buf.js";
import { type Op } from "./op.js";
import type { Run } from "./run.js";

/**
 * Asks `window` for runs and passes them to `install`. Where the window is called with the reservation held, the
 * lock spans both; where it is called without, a revoke may come between them, and only the importer's own retry
 * inside `install` can notice.
 * @example
 * const window = yield* framework.open(attachment, "to-device");
 * const addresses = yield* withRuns(attachment, window, 0, 4096, function* (runs) {
 *   return runs.map((run) => run.address);
 * }); // [0x1000]
 */
export function* withRuns<T>(
  at: DmaBufAttachment,
  window: Window,
  offset: number,
  sizeBytes: number,
  install: (runs: readonly Run[]) => Op<T>,
): Op<T> {
  if (window.resv === "free") return yield* install(yield* window.runs(offset, sizeBytes, null));
  using held = yield* at.buf.resv.lock();
  return yield* install(yield* window.runs(offset, sizeBytes, held));
}
