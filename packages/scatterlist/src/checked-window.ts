/**
 * A contract's window that does not believe the exporter. What an importer writes into a page table is walked by
 * hardware: an answer that cannot be true must not get there.
 */
import {
  type CallName,
  type Direction,
  type DmaBufAttachment,
  DmaBufError,
  type Framework,
  type Held,
  hex,
  type Op,
  PAGE_SIZE,
  type Run,
  type Window,
} from "@dma-buf/core";
import { Told } from "./told.js";

/**
 * Opens the contract's window on an attachment and checks what comes through it: runs ascend, touch, cover what was asked
 * for, lie inside the buffer, and say of a byte what they said before, until {@link Window.drop}. A lie is a finding
 * against the exporter, and refused. May sleep; the reservation must not be held.
 *
 * Where the window is called without the reservation, an answer that a drop overtook is not checked against earlier
 * ones: the importer's own retry throws it away. Frames that come out of a CPU mapping are not compared with earlier
 * ones at all: the mapping changes before its notifier is called.
 * @throws DmaBufError what `framework.open()` refuses with. `runs()` adds `EINVAL`: what the exporter says cannot be true.
 * @example
 * const window = yield* checkedWindow(framework, attachment, "bidirectional");
 * yield* withRuns(attachment, window, 0, buf.sizeBytes, install);
 */
export function* checkedWindow(fw: Framework, at: DmaBufAttachment, direction: Direction): Op<Window> {
  const window = yield* fw.open(at, direction);
  const told = new Told();
  const call = answering(fw);
  let drops = 0;

  function lie(message: string): never {
    fw.report("violation", call, "exporter", `${at.buf.exporterName}: ${message}`);
    const { stage } = fw.contract.rows[call] ?? { stage: "map" };
    throw new DmaBufError("EINVAL", { op: call, stage, message, values: { exporter: at.buf.exporterName } });
  }

  return {
    resv: window.resv,
    *runs(offset: number, sizeBytes: number, held: Held | null): Op<readonly Run[]> {
      const before = drops;
      const runs = yield* window.runs(offset, sizeBytes, held);
      const wrong = whyNot(runs, offset, sizeBytes, at.buf.sizeBytes);
      if (wrong) lie(wrong);
      if (call === "mmap" || before !== drops) return runs;
      for (const run of runs) {
        const contradiction = told.add(run);
        if (contradiction) lie(contradiction);
      }
      return runs;
    },
    drop(held: Held): Op<void> {
      drops++;
      told.forget();
      return window.drop(held);
    },
    close: () => window.close(),
  };
}

/** The callback whose answers come through the window. */
function answering({ contract: { rows } }: Framework): CallName {
  if (rows.getPfn) return "getPfn";
  return rows.mapDmaBuf ? "mapDmaBuf" : "mmap";
}

/** Why those runs cannot be an answer to `[offset, offset + sizeBytes)` of a buffer; `null`: they can. */
function whyNot(runs: readonly Run[], offset: number, sizeBytes: number, bufferBytes: number): string | null {
  const end = Math.ceil(bufferBytes / PAGE_SIZE) * PAGE_SIZE;
  let next: number | null = null;
  for (const run of runs) {
    if (!(Number.isSafeInteger(run.sizeBytes) && run.sizeBytes > 0)) return `a run of ${run.sizeBytes} bytes`;
    if (!(Number.isSafeInteger(run.address) && run.address >= 0)) return `an address of ${run.address}`;
    if (!(run.offset >= 0 && run.offset + run.sizeBytes <= end))
      return `a run at offset ${hex(run.offset)} of ${hex(run.sizeBytes)} bytes points outside the buffer of ${hex(bufferBytes)}`;
    if (next === null && run.offset > offset)
      return `${hex(offset)} was asked for, and the first run is at ${hex(run.offset)}`;
    if (next !== null && run.offset !== next)
      return `a run at offset ${hex(run.offset)} ${run.offset < next ? "overlaps the one before" : "leaves a hole"}, which ends at ${hex(next)}`;
    next = run.offset + run.sizeBytes;
  }
  if ((next ?? offset) < offset + sizeBytes)
    return `the runs end at ${hex(next ?? offset)} and fall short of ${hex(offset + sizeBytes)}`;
  return null;
}
