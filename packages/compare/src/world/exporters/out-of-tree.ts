/** A driver that nobody reviewed: it exports a BAR as vfio-pci does, and leaves out what a rule asks for. */
import {
  addr,
  DmaBufError,
  type DmaBufOps,
  type Op,
  PAGE_SIZE,
  perform,
  type PfnAnswer,
  type PhysAddr,
  type Run,
} from "@dma-buf/core";
import * as v from "valibot";
import { exporterKind } from "../actor.js";
import type { Stage } from "../stage.js";
import { withOps } from "./changed-ops.js";
import { withRuns } from "./changed-runs.js";
import { playVfio, vfioPci } from "./vfio-pci.js";

const options = v.strictObject({
  /** Asks p2pdma whether the importer can reach the BAR. */
  asksRoute: v.optional(v.boolean(), true),
  /** Maps for the importer's device; `false`: the BAR's CPU address stands in the table. */
  mapsWithDmaApi: v.optional(v.boolean(), true),
  /** The table has but the first half of the buffer, and a page frame beyond it there is none. */
  listShorterThanSize: v.optional(v.boolean(), false),
});
type Options = v.InferOutput<typeof options>;

export const outOfTree = exporterKind({
  package: vfioPci.package,
  options,
  actions: vfioPci.actions,
  create(stage, { asksRoute, ...mistakes }) {
    const played = v.parse(vfioPci.options, { asksRoute });
    return playVfio(
      stage,
      played,
      withOps(stage.framework, (ops) => mistaken(stage, ops, mistakes)),
    );
  },
});

/** A mistake is in the driver as it was posted; where the scenario injects it, in every one. */
function mistaken(stage: Stage, ops: DmaBufOps, mistakes: Omit<Options, "asksRoute">): DmaBufOps {
  if (!stage.cast.exporterAsPosted && stage.scenario.fault?.party !== "exporter") return ops;
  if (!mistakes.mapsWithDmaApi) return withRuns(ops, (runs) => raw(stage, runs));
  return mistakes.listShorterThanSize ? withHalf(ops) : ops;
}

/** The BAR's CPU address in place of each run's own; where runs say their space, as what it is. */
function raw({ machine, binding }: Stage, runs: readonly Run[]): readonly Run[] {
  const { bars } = machine.topology.get(binding.exporter);
  const base = bars.find((bar) => bar.index === binding.barIndex)?.base ?? 0;
  return runs.map((run) => {
    const { offset, sizeBytes } = run;
    if (run.kind === "dma") return { kind: "dma", offset, sizeBytes, address: addr(base + offset) };
    const address = addr<PhysAddr>(base + offset);
    return { kind: "cpu-physical", offset, sizeBytes, address, attributes: run.attributes };
  });
}

function withHalf(ops: DmaBufOps): DmaBufOps {
  const { getPfn } = ops;
  const halved = withRuns(ops, (runs) => firstHalf(runs));
  if (!getPfn) return halved;
  return {
    ...halved,
    *getPfn(at, pgoff, held): Op<PfnAnswer> {
      const pages = at.buf.sizeBytes / PAGE_SIZE / 2;
      if (pgoff < pages) {
        const { pfn, maxOrder } = yield* perform(getPfn(at, pgoff, held));
        return { pfn, maxOrder: Math.min(maxOrder, Math.log2(pages)) };
      }
      const message = `there is no page ${pgoff}: ask for less`;
      throw new DmaBufError("EINVAL", { op: "get_pfn", stage: "query", message, values: { pgoff } });
    },
  };
}

function firstHalf(runs: readonly Run[]): readonly Run[] {
  const half = runs.reduce((sum, run) => sum + run.sizeBytes, 0) / 2;
  return runs
    .filter((run) => run.offset < half)
    .map((run) => ({ ...run, sizeBytes: Math.min(run.sizeBytes, half - run.offset) }));
}
