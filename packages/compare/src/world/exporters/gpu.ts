/** A GPU exports buffers of its own memory, which move to RAM and back while they are shared. */
import { addr, type Op, type PhysAddr } from "@dma-buf/core";
import type { BufferObject, GpuExporter } from "@dma-buf/exporter-gpu";
import { DeviceFabric } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { type Exported, exporterKind } from "../actor.js";
import type { PhysRange } from "../content.js";
import type { Stage } from "../stage.js";
import { Exports } from "./exports.js";
import { contentOf, type GpuContent, rangesOf, WatchedMemory } from "./gpu-content.js";

/** Where the GPU's pages of RAM begin: behind page tables and bounce buffers. */
const RAM_AT = addr<PhysAddr>(0x2100_0000);
const RAM_BYTES = 64 * 4096;

const options = v.strictObject({
  /** Of the BAR. @defaultValue as the topology has it */
  bar: v.optional(size),
  /** Of the memory that the GPU has itself. What of it the BAR does not show, no bus reaches. */
  vram: v.optional(size, "1 GiB"),
  /** `fabric only`: no BAR shows it. */
  memory: v.optional(v.picklist(["VRAM", "fabric only"]), "VRAM"),
  /** The fabric that shows all of VRAM to its members, by name. */
  fabric: v.optional(v.string()),
  /** May a buffer be in RAM? */
  movable: v.optional(v.boolean(), true),
  /** Does the driver promise to leave a buffer where it is? As posted it does. */
  pinnable: v.optional(v.boolean(), true),
  /** May VRAM be taken away from who has pinned it? */
  losesMemory: v.optional(v.boolean(), false),
  /** `false`: who attaches gets whatever address there is. */
  checksImporter: v.optional(v.boolean(), true),
  /** Whose driver is played where the posted one is. */
  driver: v.optional(v.picklist(["amdgpu", "xe"]), "amdgpu"),
});

const of = v.strictObject({ buffer: v.optional(v.string(), "buffer") });
const actions = {
  /** A buffer in VRAM. `hidden`: where a small BAR does not show it, as long as nobody asks. */
  export: v.strictObject({
    as: v.optional(v.string(), "buffer"),
    bytes: v.optional(size, "8 KiB"),
    hidden: v.optional(v.boolean(), false),
  }),
  /** The GPU's own engine writes all of the buffer. */
  draw: of,
  /** Moves the buffer to RAM, to make room. */
  evict: of,
  /** Moves it back to VRAM. */
  restore: of,
  /** Takes the memory away for good, pinned or not. */
  lose: of,
  /** The GPU is pulled out; the bus gives its addresses to the next card. */
  remove: v.strictObject({}),
  /** Runtime power management puts the GPU to sleep. */
  suspend: v.strictObject({}),
};

type Options = v.InferOutput<typeof options>;
interface Shared extends Exported {
  readonly bo: BufferObject;
  readonly content: GpuContent;
}

export const gpu = exporterKind({
  package: "@dma-buf/exporter-gpu",
  options,
  actions,
  create(stage, taken) {
    const { framework, column, cast, judge } = stage;
    const memory = memoryOf(stage, taken);
    const { losesMemory, checksImporter, pinnable, driver, movable } = taken;
    const behaviour = { losesMemory, checksImporter, pinnable, driver, asPosted: cast.exporterAsPosted };
    const exporter: GpuExporter = column.players.exporters.gpu(behaviour)(framework, memory);
    const exports = new Exports<Shared>(framework);
    const named = (name: string): Shared => exports.named(name);
    const ranges = ({ bo }: Shared): readonly PhysRange[] => rangesOf(bo.place, memory.window);

    /** From its first step on who asks is told that it is gone; from the last on nobody may reach it. */
    function* takeAway(from: readonly Shared[], op: Op<void>): Op<void> {
      const had = from.flatMap(ranges);
      stage.setTaken(true);
      yield* op;
      judge.gaveUp(had, `what was the VRAM of ${memory.name}`);
    }

    return {
      exported: named,
      acts: {
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *export({ as, bytes, hidden }) {
          const allowed = movable ? (["vram", "gtt"] as const) : (["vram"] as const);
          const bo = exporter.create({ sizeBytes: bytes, allowed, topDown: hidden });
          const content = contentOf(bo, memory);
          exports.add(as, { bo, buf: exporter.export(bo), content });
          judge.gaveBack(rangesOf(bo.place, memory.window));
        },
        // biome-ignore lint/correctness/useYield: see above
        *draw({ buffer }) {
          const { content, bo } = named(buffer);
          content.write(0, judge.pattern(bo.sizeBytes));
        },
        evict: ({ buffer }) => exporter.evict(named(buffer).bo),
        restore: ({ buffer }) => exporter.move(named(buffer).bo, "vram"),
        lose: ({ buffer }) => takeAway([named(buffer)], exporter.lose(named(buffer).bo)),
        remove: () => takeAway(exports.open, exporter.remove()),
        // biome-ignore lint/correctness/useYield: see above
        *suspend() {
          if (!memory.suspend())
            throw new RangeError(`${memory.name} is kept awake by who has attached: suspend it before`);
        },
      },
      *close() {
        for (const one of exports.open) {
          exporter.close(one.bo);
          yield* exports.close(one);
        }
      },
    };
  },
});

function memoryOf({ machine, binding, judge }: Stage, { vram, memory, fabric }: Options): WatchedMemory {
  const bar = machine.topology.get(binding.exporter).bars.find((b) => b.index === 0)?.sizeBytes ?? 0;
  const isFabric = memory === "fabric only";
  return new WatchedMemory(judge, machine, binding.exporter, {
    vramBytes: vram,
    windowBytes: isFabric ? 0 : Math.min(bar, vram),
    ram: { base: RAM_AT, sizeBytes: RAM_BYTES },
    ...(fabric || isFabric ? { fabric: new DeviceFabric(machine, fabric ?? "fabric") } : {}),
  });
}
