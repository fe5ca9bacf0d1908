/** The reference exporter, with one lie in what it answers. It keeps the truth, and takes that back. */
import {
  type DmaBufOps,
  type ExporterCall,
  type MaySleep,
  type PfnAnswer,
  type Run,
  type SgTable,
  type Vma,
} from "@dma-buf/core";
import type { Lie } from "./lie.js";

/** How the exporter is changed, and whether anybody was told the lie. */
export interface Liar {
  readonly change: (honest: DmaBufOps) => Partial<DmaBufOps>;
  readonly told: () => boolean;
}

export function liarOf(lie: Lie): Liar {
  let lies = 0;
  const times = new Map<number, number>();
  const truths = new Map<SgTable, SgTable>();

  function frame(ask: () => MaySleep<PfnAnswer>, pgoff: number): MaySleep<PfnAnswer> {
    if (lie.instead) return lied(lie.instead());
    const truth = ask() as PfnAnswer;
    const before = times.get(pgoff) ?? 0;
    times.set(pgoff, before + 1);
    const said = lie.frame?.(truth, pgoff, before) ?? truth;
    return said === truth ? said : lied(said);
  }

  function table(truth: SgTable): SgTable {
    if (!lie.runs) return truth;
    const [run] = truth.runs;
    const said = { runs: lied(lie.runs(run as Run)) };
    truths.set(said, truth);
    return said;
  }

  function lied<T>(what: T): T {
    lies++;
    return what;
  }

  return {
    told: () => lies > 0,
    change: (honest) => ({ ...answers(honest), ...(lie.throwsIn ? thrower(honest, lie.throwsIn) : {}) }),
  };

  function thrower(honest: DmaBufOps, call: ExporterCall): Partial<DmaBufOps> {
    const callback = honest[call] as ((...args: unknown[]) => unknown) | undefined;
    return {
      [call](...args: unknown[]) {
        callback?.(...args);
        throw lied(new TypeError("told to fail: undefined is no function"));
      },
    };
  }

  function answers(honest: DmaBufOps): Partial<DmaBufOps> {
    return {
      getPfn: (at, pgoff, held) =>
        frame(() => (honest.getPfn as Required<DmaBufOps>["getPfn"])(at, pgoff, held), pgoff),
      mapDmaBuf(at, direction, held) {
        if (lie.instead) return lied(lie.instead());
        return table((honest.mapDmaBuf as Required<DmaBufOps>["mapDmaBuf"])(at, direction, held) as SgTable);
      },
      unmapDmaBuf(at, said, direction, held) {
        const truth = truths.get(said) ?? said;
        truths.delete(said);
        return honest.unmapDmaBuf?.(at, truth, direction, held);
      },
      mmap(buf, area: Vma) {
        void honest.mmap?.(buf, area);
        const { fault } = area;
        area.fault = (page) => frame(() => (fault as NonNullable<typeof fault>)(page), area.pgoff + page);
      },
    };
  }
}
