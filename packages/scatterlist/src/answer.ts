/** What an exporter's answer must look like, whatever it answered before. */
import { type Attributes, hex, PAGE_SIZE, type Run } from "@dma-buf/core";

/** What was asked: `[offset, offset + sizeBytes)` of a buffer. */
export interface Asked {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly bufferBytes: number;
}

/** What a run may say of itself. */
const KINDS: readonly string[] = ["dma", "cpu-physical", "pci-bus", "iova", "device-private"] satisfies Run["kind"][];
/** What an entry of a page table or a translation table holds: no device puts out an address behind it. */
const ADDRESSES_END = 2 ** 52;
const CACHES: readonly string[] = ["uc", "wc", "wb"] satisfies Attributes["cache"][];

/** Why nobody can ask that; `null`: one can. The last page may be asked for as a whole. */
export function whyNotAsked({ offset, sizeBytes, bufferBytes }: Asked): string | null {
  if (offset >= 0 && sizeBytes >= 0 && offset + sizeBytes <= wholePages(bufferBytes)) return null;
  return `${sizeBytes} bytes at offset ${offset} of a buffer of ${hex(bufferBytes)}: ask for what is inside`;
}

/** Why those runs cannot be the answer; `null`: they can. */
export function whyNot(runs: readonly Run[], asked: Asked): string | null {
  let next: number | null = null;
  for (const run of runs) {
    const wrong = whyNotRun(run, asked.bufferBytes) ?? whyNotThere(run, next, asked.offset);
    if (wrong) return wrong;
    next = run.offset + run.sizeBytes;
  }
  const end = Math.min(asked.offset + asked.sizeBytes, asked.bufferBytes);
  const reached = next ?? asked.offset;
  return reached < end ? `the runs end at ${hex(reached)} and fall short of ${hex(end)}` : null;
}

/** A run by itself. The last page is whole: nothing else of a buffer can be mapped. */
function whyNotRun(run: Run, bufferBytes: number): string | null {
  const { offset, sizeBytes, address, kind } = run;
  if (!(Number.isSafeInteger(sizeBytes) && sizeBytes > 0)) return `a run of ${sizeBytes} bytes`;
  if (!Number.isSafeInteger(offset)) return `a run at offset ${offset}`;
  if (!(Number.isSafeInteger(address) && address >= 0 && address + sizeBytes <= ADDRESSES_END))
    return `an address of ${address}`;
  if (offset < 0 || offset + sizeBytes > wholePages(bufferBytes))
    return `${hex(sizeBytes)} bytes at offset ${hex(offset)} are not inside the buffer of ${hex(bufferBytes)}`;
  const isWhole = [offset, sizeBytes, address].every((n) => n % PAGE_SIZE === 0);
  if (kind === "cpu-physical" && !isWhole) return `a frame of ${sizeBytes} bytes at ${hex(address)}`;
  return KINDS.includes(kind) ? whyNotReached(run) : `a run of kind ${kind}`;
}

/** How it may be reached: which a frame may leave open. */
function whyNotReached(run: Run): string | null {
  if (run.kind === "dma" || (run.kind === "cpu-physical" && run.attributes === null)) return null;
  const { cache, snoop } = run.attributes ?? {};
  if (CACHES.includes(String(cache)) && typeof snoop === "boolean") return null;
  return `a run of kind ${run.kind} with attributes cache ${String(cache)}, snoop ${String(snoop)}`;
}

function wholePages(bytes: number): number {
  return Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;
}

/** Where the one before ends, and for the first, not behind what was asked for. */
function whyNotThere(run: Run, next: number | null, asked: number): string | null {
  if (next === null)
    return run.offset > asked ? `${hex(asked)} was asked for, and the first run is at ${hex(run.offset)}` : null;
  if (run.offset === next) return null;
  const what = run.offset < next ? "overlaps the one before" : "leaves a hole";
  return `a run at offset ${hex(run.offset)} ${what}, which ends at ${hex(next)}`;
}
