/** Runs as an importer wants them: whole, and no more of them than it asked for. */
import type { Run } from "@dma-buf/core";
import { goesOn } from "./space.js";

/**
 * What of `runs` lies in `[offset, offset + sizeBytes)` of the buffer: the first may begin before what was asked for, and
 * the last end behind it.
 * @example
 * const run = { kind: "dma", offset: 0, sizeBytes: 8192, address: addr(0x10000) };
 * clipped([run], 4096, 4096)[0].address; // 0x11000
 */
export function clipped(runs: readonly Run[], offset: number, sizeBytes: number): Run[] {
  return runs.flatMap((run) => {
    const from = Math.max(run.offset, offset);
    const to = Math.min(run.offset + run.sizeBytes, offset + sizeBytes);
    const address = run.address + from - run.offset;
    return to > from ? [{ ...run, offset: from, sizeBytes: to - from, address } as Run] : [];
  });
}

/**
 * Neighbours that go on in one space, as one run: what was told page by page is mapped as a whole.
 * @example
 * const page = (n) => ({ kind: "cpu-physical", offset: n * 4096, sizeBytes: 4096, address: addr(0x10000 + n * 4096), attributes: null });
 * joined([page(0), page(1)]).length; // 1
 */
export function joined(runs: readonly Run[]): Run[] {
  const out: Run[] = [];
  for (const run of runs) {
    const last = out.at(-1);
    if (last && goesOn(last, run)) out[out.length - 1] = { ...last, sizeBytes: last.sizeBytes + run.sizeBytes };
    else out.push(run);
  }
  return out;
}
