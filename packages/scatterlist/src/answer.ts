/** What an exporter's answer must look like, whatever it answered before. */
import { hex, PAGE_SIZE, type Run } from "@dma-buf/core";

/** What was asked: `[offset, offset + sizeBytes)` of a buffer. */
export interface Asked {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly bufferBytes: number;
}

/** Why those runs cannot be the answer; `null`: they can. */
export function whyNot(runs: readonly Run[], asked: Asked): string | null {
  let next: number | null = null;
  for (const run of runs) {
    const wrong = whyNotRun(run, asked.bufferBytes) ?? whyNotThere(run, next, asked.offset);
    if (wrong) return wrong;
    next = run.offset + run.sizeBytes;
  }
  const end = asked.offset + asked.sizeBytes;
  const reached = next ?? asked.offset;
  return reached < end ? `the runs end at ${hex(reached)} and fall short of ${hex(end)}` : null;
}

/** A run by itself. The last page is whole: nothing else of a buffer can be mapped. */
function whyNotRun({ offset, sizeBytes, address, kind }: Run, bufferBytes: number): string | null {
  const end = Math.ceil(bufferBytes / PAGE_SIZE) * PAGE_SIZE;
  if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) return `a run of ${sizeBytes} bytes`;
  if (!Number.isSafeInteger(offset)) return `a run at offset ${offset}`;
  if (!(Number.isSafeInteger(address + sizeBytes) && Number.isSafeInteger(address) && address >= 0))
    return `an address of ${address}`;
  if (offset < 0 || offset + sizeBytes > end)
    return `${hex(sizeBytes)} bytes at offset ${hex(offset)} are not inside the buffer of ${hex(bufferBytes)}`;
  const wholePages = [offset, sizeBytes, address].every((n) => n % PAGE_SIZE === 0);
  return kind === "cpu-physical" && !wholePages ? `a frame of ${sizeBytes} bytes at ${hex(address)}` : null;
}

/** Where the one before ends, and for the first, not behind what was asked for. */
function whyNotThere(run: Run, next: number | null, asked: number): string | null {
  if (next === null)
    return run.offset > asked ? `${hex(asked)} was asked for, and the first run is at ${hex(run.offset)}` : null;
  if (run.offset === next) return null;
  const what = run.offset < next ? "overlaps the one before" : "leaves a hole";
  return `a run at offset ${hex(run.offset)} ${what}, which ends at ${hex(next)}`;
}
