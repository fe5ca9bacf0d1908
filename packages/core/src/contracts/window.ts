/** The shapes of a window: how an importer comes to see runs, as contracts have it. */
import { addr, PAGE_SIZE, type PhysAddr, physOf } from "../address.js";
import type { Window } from "../contract.js";
import type { DmaBufAttachment, PfnAnswer, SgTable } from "../dma-buf.js";
import type { Framework } from "../framework.js";
import { type Op, perform } from "../op.js";
import type { Held } from "../resv.js";
import type { Attributes, Direction, Run } from "../run.js";

/** What a contract lets the importer see of a run. */
export type Show = (run: Run) => Run;

/**
 * The exporter maps. The mapping is made at the first use under the reservation, kept until invalidate drops it, and
 * made anew at the next use.
 * @example
 * const mine = defineContract(linux73, { id: "mine", title: "Everything is shown.", *open(fw, at, direction) {
 *   return mappedWindow(fw, at, direction, (run) => run);
 * } });
 */
export function mappedWindow(fw: Framework, at: DmaBufAttachment, direction: Direction, show: Show): Window {
  let table: SgTable | null = null;
  function* drop(held: Held): Op<void> {
    const given = table;
    table = null;
    if (given) yield* fw.unmapAttachment(at, given, direction, held);
  }
  return {
    resv: "held",
    *runs(offset, sizeBytes, held) {
      table ??= yield* fw.mapAttachment(at, direction, need(held));
      return [...table.runs].filter((run) => overlaps(run, offset, sizeBytes)).map((run) => show(run));
    },
    drop,
    *close() {
      if (!table) return;
      using held = yield* at.buf.resv.lock();
      yield* drop(held);
    },
  };
}

/**
 * The contract by withholding: of a run, the importer sees the DMA address alone. A run of another kind is a finding, and is
 * shown as it is: nobody may take it for a DMA address.
 * @example
 * const mine = defineContract(dmaAddress, { id: "mine", title: "Addresses alone.", *open(fw, at, direction) {
 *   return mappedWindow(fw, at, direction, dmaOnly(fw));
 * } });
 */
export function dmaOnly(fw: Framework): Show {
  return (run) => {
    if (run.kind === "dma") return { kind: "dma", offset: run.offset, sizeBytes: run.sizeBytes, address: run.address };
    fw.report("violation", "mapDmaBuf", "exporter", `a run of kind ${run.kind}: this contract carries DMA addresses`);
    return run;
  };
}

/**
 * The contract by insisting: an address that does not say its space is a finding.
 * @example
 * const mine = defineContract(annotatedAddress, { id: "mine", title: "Every address says its space.", *open(fw, at, direction) {
 *   return mappedWindow(fw, at, direction, annotatedOnly(fw));
 * } });
 */
export function annotatedOnly(fw: Framework): Show {
  return (run) => {
    if (run.kind === "dma" || run.attributes === null)
      fw.report("violation", "mapDmaBuf", "exporter", `a run of kind ${run.kind} does not say where it is valid`);
    return run;
  };
}

/**
 * The importer asks for page frames, one run at a time: while it holds the reservation, or holding nothing.
 * @example
 * const mine = defineContract(pfn, { id: "mine", title: "Asked by a caller that holds nothing.", *open(fw, at) {
 *   return pfnWindow(fw, at, "free");
 * } });
 */
export function pfnWindow(fw: Framework, at: DmaBufAttachment, resv: Window["resv"]): Window {
  return frameWindow(resv, (pgoff, held) =>
    resv === "held" ? fw.getPfnAttachment(at, pgoff, need(held)) : fw.getPfnUnlocked(at, pgoff),
  );
}

/**
 * The importer reads page frames out of a CPU mapping, faulting them in; an MMU notifier tells it when they go.
 * @example
 * const mine = defineContract(vma, { id: "mine", title: "Through a CPU mapping.", open: (fw, at) => vmaWindow(fw, at) });
 */
export function* vmaWindow(fw: Framework, at: DmaBufAttachment): Op<Window> {
  const pages = Math.floor(at.buf.sizeBytes / PAGE_SIZE);
  const vma = yield* fw.mmapFile(at.buf, { pgoff: 0, pages, buf: null, fault: null });
  const said = (): Attributes | null => (vma.cache ? { cache: vma.cache, snoop: false } : null);
  const ask: Ask = function* (pgoff) {
    if (!vma.fault) throw fw.error("EFAULT", "mmap", `page ${pgoff} of the mapping is empty, and nobody fills it`);
    return yield* perform(vma.fault(pgoff));
  };
  return { ...frameWindow("free", ask, said), close: () => fw.munmap(vma) };
}

type Ask = (pgoff: number, held: Held | null) => Op<PfnAnswer>;

/** `said`: how frames may be reached. */
function frameWindow(resv: Window["resv"], ask: Ask, said: () => Attributes | null = () => null): Window {
  return {
    resv,
    *runs(offset, sizeBytes, held) {
      const runs: Run[] = [];
      for (let next = offset; next < offset + sizeBytes; ) {
        const pgoff = Math.floor(next / PAGE_SIZE);
        const run = frameRun(pgoff, yield* ask(pgoff, held), said());
        runs.push(run);
        // Whatever was answered, the page that was asked for is over: an exporter may say nonsense, and not for ever.
        next = Math.max(run.offset + run.sizeBytes, (pgoff + 1) * PAGE_SIZE);
      }
      return runs;
    },
    *drop() {},
    *close() {},
  };
}

/** The aligned run of pages around the frame that was told. */
function frameRun(pgoff: number, { pfn, maxOrder }: PfnAnswer, attributes: Attributes | null): Run {
  const sizeBytes = 2 ** maxOrder * PAGE_SIZE;
  const before = physOf(pfn) % sizeBytes;
  return {
    kind: "cpu-physical",
    offset: pgoff * PAGE_SIZE - before,
    sizeBytes,
    address: addr<PhysAddr>(physOf(pfn) - before),
    attributes,
  };
}

function need(held: Held | null): Held {
  if (!held) throw new TypeError("this window's runs() needs the reservation: pass the guard you hold");
  return held;
}

function overlaps(run: Run, offset: number, sizeBytes: number): boolean {
  return run.offset < offset + sizeBytes && offset < run.offset + run.sizeBytes;
}
