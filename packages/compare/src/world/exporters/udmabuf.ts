/** RAM as a buffer: udmabuf exports pages of a memory file, and stands for a heap, which exports pages of its own. */
import { addr, DmaBufError, type Op, type PhysAddr } from "@dma-buf/core";
import type { UdmabufExporter } from "@dma-buf/exporter-udmabuf";
import { F_SEAL, MachineMemfds } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { type Exported, exporterKind, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";

const GIB = 2 ** 30;

const options = v.strictObject({
  /** Are importers told before a page moves, instead of pinning it? */
  movable: v.optional(v.boolean(), false),
});
const actions = {
  /** A file of so many bytes, and a buffer of all of it. */
  export: v.strictObject({ as: v.optional(v.string(), "buffer"), bytes: v.optional(size, 8192) }),
  /** A CPU writes, through its caches where devices do not look into them. */
  "cpu-write": v.strictObject({ bytes: v.optional(size, 64) }),
  /** Compaction wants the first page elsewhere. */
  compact: v.strictObject({}),
  /** The buffer's fd and the file are closed: pages that nobody holds go to whoever wants them next. */
  free: v.strictObject({}),
};

/** A buffer, and the file whose pages it has. */
interface File extends Exported {
  readonly memfd: number;
  isOpen: boolean;
}

export const udmabuf = exporterKind({
  package: "@dma-buf/exporter-udmabuf",
  options,
  actions,
  create(stage, { movable }) {
    const { framework, machine, column, cast, judge } = stage;
    const memfds = new MachineMemfds(machine, ramOf(stage));
    // A movable one was posted by nobody.
    const how = movable ? { movable } : { asPosted: cast.exporterAsPosted };
    const exporter: UdmabufExporter = column.players.exporters.udmabuf(how)(framework, memfds);
    const files = new Map<string, File>();
    const file = (name: string): File => {
      const found = files.get(name);
      if (!found) throw new NotApplicable(`nothing is exported as ${name}`);
      return found;
    };
    function* close(one: File): Op<void> {
      if (!one.isOpen) return;
      one.isOpen = false;
      yield* framework.put(one.buf);
      memfds.close(one.memfd);
    }

    return {
      exported: file,
      acts: {
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *export({ as, bytes: sizeBytes }) {
          const memfd = memfds.create(sizeBytes);
          const pages = memfds.memfd(memfd);
          pages.addSeals(F_SEAL.SHRINK);
          const buf = exporter.create([{ memfd, offset: 0, sizeBytes }]);
          const ranges = () => pages.ranges(0, sizeBytes).map((r) => ({ base: r.physical, sizeBytes: r.sizeBytes }));
          const content = { sizeBytes, ranges, read: (offset: number, bytes: number) => pages.read(offset, bytes) };
          files.set(as, { buf, memfd, isOpen: true, content });
        },
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *"cpu-write"({ bytes: sizeBytes }) {
          const { content } = file("buffer");
          const bytes = judge.pattern(sizeBytes);
          judge.willWrite(content, 0, bytes);
          const physical = addr<PhysAddr>(content.ranges()[0]?.base ?? 0);
          (machine.cpuCache ?? machine.memory).write(physical, bytes);
        },
        *compact() {
          const { content, memfd } = file("buffer");
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
          const one = file("buffer");
          const ranges = one.content.ranges();
          yield* close(one);
          judge.gaveUp(ranges, "the page");
        },
      },
      *close() {
        for (const one of files.values()) yield* close(one);
      },
    };
  },
});

/** Where its pages come from. */
function ramOf({ scenario }: Stage): ConstructorParameters<typeof MachineMemfds>[1] {
  if (scenario.topology.modifiers["ram"] !== "above 4 GiB") return {};
  return { ram: { base: addr<PhysAddr>(4 * GIB), sizeBytes: GIB } };
}
