/** RAM as a buffer: udmabuf exports pages of a memory file, and stands for a heap, which exports pages of its own. */
import { addr, DmaBufError, type Op, type PhysAddr } from "@dma-buf/core";
import type { UdmabufExporter } from "@dma-buf/exporter-udmabuf";
import { F_SEAL, MachineMemfds } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { inOnePage } from "../access.js";
import { type Exported, exporterKind, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import { Exports } from "./exports.js";

const GIB = 2 ** 30;

const options = v.strictObject({
  /** Are importers told before a page moves, instead of pinning it? */
  movable: v.optional(v.boolean(), false),
});
const actions = {
  /** A file of so many bytes, and a buffer of all of it. */
  export: v.strictObject({ as: v.optional(v.string(), "buffer"), bytes: v.optional(size, 8192) }),
  /** A CPU writes, through its caches where devices do not look into them. */
  "cpu-write": v.strictObject({ bytes: v.optional(inOnePage, 64) }),
  /** Compaction wants the first page of the movable zone elsewhere. */
  compact: v.strictObject({}),
  /** The buffer's fd and the file are closed: pages that nobody holds go to whoever wants them next. */
  free: v.strictObject({}),
};

/** A buffer, and the file whose pages it has. */
interface File extends Exported {
  readonly memfd: number;
}

export const udmabuf = exporterKind({
  package: "@dma-buf/exporter-udmabuf",
  options,
  actions,
  create(stage, { movable }) {
    const { framework, machine, column, cast, judge, scenario } = stage;
    const memfds = new MachineMemfds(machine, ramOf(stage));
    // A movable one was posted by nobody.
    const how = movable ? { movable } : { asPosted: cast.exporterAsPosted };
    const exporter: UdmabufExporter = column.players.exporters.udmabuf(how)(framework, memfds);
    const files = new Exports<File>(framework);
    function* close(one: File): Op<void> {
      if (yield* files.close(one)) memfds.close(one.memfd);
    }

    return {
      exported: (name) => files.named(name),
      acts: {
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *export({ as, bytes: sizeBytes }) {
          const memfd = memfds.create(sizeBytes);
          const pages = memfds.memfd(memfd);
          pages.addSeals(F_SEAL.SHRINK);
          const buf = exporter.create([{ memfd, offset: 0, sizeBytes }]);
          const ranges = () => pages.ranges(0, sizeBytes).map((r) => ({ base: r.physical, sizeBytes: r.sizeBytes }));
          const content = { sizeBytes, ranges, read: (offset: number, bytes: number) => pages.read(offset, bytes) };
          files.add(as, { buf, memfd, content });
        },
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *"cpu-write"({ bytes: sizeBytes }) {
          const { content } = files.named("buffer");
          const bytes = judge.pattern(sizeBytes);
          judge.willWrite(content, 0, bytes);
          const physical = addr<PhysAddr>(content.ranges()[0]?.base ?? 0);
          (machine.cpuCache ?? machine.memory).write(physical, bytes);
        },
        *compact() {
          if (scenario.topology.modifiers.ram !== "movable zone")
            throw new NotApplicable("no page of this RAM is wanted elsewhere: give the topology ram: movable zone");
          const { content, memfd } = files.named("buffer");
          const before = content.ranges();
          try {
            yield* memfds.memfd(memfd).migrate(0);
            judge.gaveUp(before, "the page");
          } catch (error) {
            if (!(error instanceof DmaBufError)) throw error;
            judge.good({ kind: "kernel", id: error.op, text: `the page stays: ${error.message}` });
          }
        },
        *free() {
          const one = files.named("buffer");
          const ranges = one.content.ranges();
          yield* close(one);
          judge.gaveUp(ranges, "the page");
        },
      },
      *close() {
        for (const one of files.open) yield* close(one);
      },
    };
  },
});

/** Where its pages come from. */
function ramOf({ scenario }: Stage): ConstructorParameters<typeof MachineMemfds>[1] {
  if (scenario.topology.modifiers.ram !== "above 4 GiB") return {};
  return { ram: { base: addr<PhysAddr>(4 * GIB), sizeBytes: GIB } };
}
