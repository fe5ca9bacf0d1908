/** The two shapes of a window that the contracts have so far. */
import type { Window } from "../contract.js";
import type { DmaBufAttachment, SgTable } from "../dma-buf.js";
import { addr, PAGE_SIZE, type PhysAddr, physOf } from "../address.js";
import type { Framework } from "../framework.js";
import { type Op } from "../op.js";
import type { Held } from "../resv.js";
import type { Direction, Run } from "../run.js";

/**
 * The exporter maps. The mapping is made at the first use under the reservation, kept until invalidate drops it, and
 * made anew at the next use. `show` is what the contract lets the importer see of a run.
 */
export function mappedWindow(
  fw: Framework,
  at: DmaBufAttachment,
  direction: Direction,
  show: (run: Run) => Run,
): Window {
  let table: SgTable | null = null;
  function* drop(held: Held): Op<void> {
    if (!table) return;
    const given = table;
    table = null;
    yield* fw.unmapAttachment(at, given, direction, held);
  }
  return {
    resv: "held",
    *runs(offset, sizeBytes, held) {
      if (!held) throw new TypeError("this window's runs() needs the reservation: pass the guard you hold");
      table ??= yield* fw.mapAttachment(at, direction, held);
      return table.runs.filter((run) => overlaps(run, offset, sizeBytes)).map(show);
    },
    drop,
    *close() {
      if (!table) return;
      using held = yield* at.buf.resv.lock();
      yield* drop(held);
    },
  };
}

/** The importer asks for PFNs, one run at a time, and holds nothing while it uses the answer. */
export function pfnWindow(fw: Framework, at: DmaBufAttachment): Window {
  return {
    resv: "free",
    *runs(offset, sizeBytes) {
      const runs: Run[] = [];
      for (let next = offset; next < offset + sizeBytes; ) {
        const run = yield* pfnRun(fw, at, next);
        runs.push(run);
        next = run.offset + run.sizeBytes;
      }
      return runs;
    },
    *drop() {},
    *close() {},
  };
}

function* pfnRun(fw: Framework, at: DmaBufAttachment, offset: number): Op<Run> {
  const pgoff = Math.floor(offset / PAGE_SIZE);
  const { pfn, maxOrder } = yield* fw.getPfnUnlocked(at, pgoff);
  const pages = 2 ** maxOrder;
  const before = pfn % pages;
  return {
    kind: "cpu-physical",
    offset: (pgoff - before) * PAGE_SIZE,
    sizeBytes: pages * PAGE_SIZE,
    address: addr<PhysAddr>(physOf(pfn) - before * PAGE_SIZE),
    attributes: null,
  };
}

function overlaps(run: Run, offset: number, sizeBytes: number): boolean {
  return run.offset < offset + sizeBytes && offset < run.offset + run.sizeBytes;
}
