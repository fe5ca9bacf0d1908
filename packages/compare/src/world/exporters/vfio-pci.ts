/** vfio-pci exports a BAR of an assigned function. */
import { addr, DmaBufError, type Framework, hex, type Op, type PhysAddr } from "@dma-buf/core";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import { VfioPciDevice } from "@dma-buf/machine";
import * as v from "valibot";
import type { Rule } from "../../result.js";
import { size } from "../../scenario/size.js";
import { type Exported, type ExporterActor, exporterKind } from "../actor.js";
import type { Content, PhysRange } from "../content.js";
import type { Stage } from "../stage.js";
import { Exports } from "./exports.js";
import { tdiActions, tdiActs, tdiOptions, vfioOptions, declareMemory } from "./tdi.js";
import { byAts, OpinionatedVfioDevice, unasked } from "./route-opinion.js";

const options = v.strictObject({
  /** Of the BAR, a power of two. Made by the topology; a host's BAR is what it is. @defaultValue 1 GiB */
  bar: v.optional(size),
  /** Refuses a range that has bytes of another: a check that no contract asks for, and no code that was posted has. */
  refusesOverlap: v.optional(v.boolean(), false),
  /** Takes a way that only translated requests go for a route, if the importer has ATS. */
  knowsAts: v.optional(v.boolean(), false),
  /** Asks p2pdma whether the importer can reach the BAR. */
  asksRoute: v.optional(v.boolean(), true),
  ...tdiOptions,
});
const range = v.strictObject({ offset: size, bytes: size });
const actions = {
  /** All of the BAR, or ranges of it, in that order. */
  export: v.strictObject({ as: v.optional(v.string(), "buffer"), ranges: v.optional(v.array(range)) }),
  /** Somebody counts the scatter-gather tables while nobody has a mapping. */
  "count-tables": v.strictObject({}),
  /** Takes the BAR away from everybody, as what switches memory decode off does, and leaves decode on. */
  revoke: v.strictObject({}),
  /** Gives it back: who asks again is served. */
  restore: v.strictObject({}),
  /** COMMAND.MEMORY as the guest writes it. */
  "memory-decode": v.strictObject({ on: v.boolean() }),
  /** A function level reset by the guest, through config space. */
  flr: v.strictObject({}),
  /** `VFIO_DEVICE_RESET`. */
  reset: v.strictObject({}),
  /** The last close of the device's fd. */
  "close-device": v.strictObject({}),
  /** The close of a buffer's fd: the exporter's user holds it no more. */
  "close-fd": v.strictObject({ buffer: v.optional(v.string(), "buffer") }),
  ...tdiActions,
};

export const vfioPci = exporterKind({
  package: "@dma-buf/exporter-vfio",
  options,
  actions,
  create: (stage, played) => playVfio(stage, played, stage.framework),
});

/** @param framework what the exporter is given: another than the stage's, where the driver has a mistake */
export function playVfio(
  stage: Stage,
  played: v.InferOutput<typeof options>,
  framework: Framework,
): ExporterActor<typeof actions> {
  const { machine, binding, column, cast, judge } = stage;
  const { refusesOverlap } = played;
  const host = Object.assign(hostOf(stage, played), { trustedIo: stage.trustedIo });
  const bar = host.region(binding.barIndex);
  if (!bar) throw new RangeError(`${binding.exporter} has no memory BAR ${binding.barIndex}`);
  const vfio: VfioExporter = column.players.exporters.vfio({ asPosted: cast.exporterAsPosted, ...vfioOptions(played) })(
    framework,
    host,
  );
  const exports = new Exports<Exported>(framework);
  const exported = (name: string): Exported => exports.named(name);
  const whole: PhysRange = { base: bar.physical, sizeBytes: bar.sizeBytes };

  /** From the first notification on who asks may be refused; who still reaches it after the end is late. */
  function* takeAway(op: Op<void>): Op<void> {
    stage.setTaken(true);
    yield* op;
    judge.gaveUp([whole], "the BAR");
  }
  function* giveBack(op: Op<void>): Op<void> {
    yield* op;
    stage.setTaken(false);
    judge.gaveBack([whole]);
  }
  function* takeForAWhile(op: Op<void>): Op<void> {
    stage.setTaken(true);
    yield* giveBack(op);
  }

  declareMemory(machine, whole, played);
  const { close: closeHost, ...trusted } = tdiActs(stage, { vfio, bar: whole, options: played, exported });
  return {
    exported,
    acts: {
      ...trusted,
      *export({ as, ranges = [{ offset: 0, bytes: bar.sizeBytes }] }) {
        if (refusesOverlap && !cast.exporterAsPosted) checkDisjoint(ranges);
        const dma = ranges.map(({ offset, bytes }) => ({ offset, length: bytes }));
        const buf = yield* vfio.export({ regionIndex: binding.barIndex, ranges: dma });
        const parts = ranges.map((r) => ({ base: bar.physical + r.offset, sizeBytes: r.bytes }));
        exports.add(as, { buf, content: contentOf(parts, (base, bytes) => machine.peek(addr<PhysAddr>(base), bytes)) });
      },
      // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
      *"count-tables"() {
        const { sgTables } = vfio.ledger;
        const rule: Rule = {
          kind: "invariant",
          id: "I7",
          text: `${sgTables} tables are still allocated, and nobody has a mapping`,
        };
        if (sgTables > 0) judge.mark("RESLEAK", rule);
        else judge.good(rule);
      },
      revoke: () => takeAway(vfio.revoke()),
      restore: () => giveBack(vfio.restore()),
      "memory-decode": ({ on }) => (on ? giveBack : takeAway)(vfio.setMemoryEnabled(on)),
      flr: () => takeForAWhile(vfio.functionLevelReset()),
      reset: () => takeForAWhile(vfio.reset()),
      "close-device": () => takeAway(vfio.close()),
      *"close-fd"({ buffer }) {
        yield* exports.close(exported(buffer));
      },
    },
    *close() {
      closeHost();
      for (const one of exports.open) yield* exports.close(one);
    },
  };
}

/** The function, as its exporter asks for routes to it. */
function hostOf(
  { machine, binding }: Stage,
  { asksRoute, knowsAts }: { readonly asksRoute: boolean; readonly knowsAts: boolean },
): VfioPciDevice {
  if (!asksRoute) return new OpinionatedVfioDevice(machine, binding.exporter, unasked);
  if (knowsAts) return new OpinionatedVfioDevice(machine, binding.exporter, byAts(machine));
  return new VfioPciDevice(machine, binding.exporter);
}

/** @throws DmaBufError `EINVAL` two ranges have a byte in common */
function checkDisjoint(ranges: readonly v.InferOutput<typeof range>[]): void {
  const sorted = ranges.toSorted((a, b) => a.offset - b.offset);
  const at = sorted.findIndex(({ offset }, i) => i > 0 && offset < end(sorted[i - 1] as (typeof sorted)[number]));
  if (at < 0) return;
  const message = `a range begins at ${hex((sorted[at] as (typeof sorted)[number]).offset)}, before another ends: name no byte twice`;
  throw new DmaBufError("EINVAL", { op: "export", stage: "export", message });
}

function end({ offset, bytes }: v.InferOutput<typeof range>): number {
  return offset + bytes;
}

/** Ranges, one behind the other. */
function contentOf(parts: readonly PhysRange[], read: (base: number, sizeBytes: number) => Uint8Array): Content {
  const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
  return {
    sizeBytes,
    ranges: () => parts,
    read(offset, wanted) {
      const bytes = new Uint8Array(wanted);
      let start = 0;
      for (const part of parts) {
        const from = Math.max(offset, start);
        const to = Math.min(offset + wanted, start + part.sizeBytes);
        if (from < to) bytes.set(read(part.base + from - start, to - from), from - offset);
        start += part.sizeBytes;
      }
      return bytes;
    },
  };
}
