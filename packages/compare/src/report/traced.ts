/** What a thread tells of a cell whose traces are wanted too: it is played once, where what does not come back can be stopped. */
import type { Runnable } from "../contained.js";
import type { CompareRequest } from "../request.js";
import type { Explanation, Result } from "../result.js";

export interface TracedRequest extends CompareRequest {
  readonly isTraced?: boolean;
}

/** A run without the result of its cell. */
export type Run = Omit<Explanation, "result">;

export interface TracedResult extends Result {
  readonly runs: readonly Run[];
}

/** The result of a cell, with its runs where they are wanted. */
export function played(cell: Runnable, { isTraced = false }: TracedRequest): Result | TracedResult {
  const result = cell.result();
  return isTraced ? { ...result, runs: runsOf(cell) } : result;
}

/** The worst and shortest order of the conforming run, and of the posted one where somebody posted it. */
export function runsOf(cell: Runnable): readonly Run[] {
  return (["conforming", "asPosted"] as const).flatMap((run) => {
    const traced = cell.trace(run);
    return traced ? [{ schemaVersion: 2 as const, run, ...traced }] : [];
  });
}
