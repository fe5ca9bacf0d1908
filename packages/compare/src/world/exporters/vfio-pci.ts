/** vfio-pci exports a BAR of an assigned function. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import { VfioPciDevice } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { type Exported, exporterKind, NotApplicable } from "../actor.js";
import type { Content, PhysRange } from "../content.js";

const range = v.strictObject({ offset: size, bytes: size });
const actions = {
  /** All of the BAR, or ranges of it, in that order. */
  export: v.strictObject({ as: v.optional(v.string(), "buffer"), ranges: v.optional(v.array(range)) }),
  revoke: v.strictObject({}),
  restore: v.strictObject({}),
  "memory-decode": v.strictObject({ on: v.boolean() }),
};

export const vfioPci = exporterKind({
  package: "@dma-buf/exporter-vfio",
  options: v.objectWithRest({}, v.unknown()),
  actions,
  create(stage) {
    const { framework, machine, binding, column, cast, judge } = stage;
    const host = new VfioPciDevice(machine, binding.exporter);
    const bar = host.region(binding.barIndex);
    if (!bar) throw new RangeError(`${binding.exporter} has no memory BAR ${binding.barIndex}`);
    const vfio: VfioExporter = column.players.exporters.vfio({ asPosted: cast.exporterAsPosted })(framework, host);
    const exports = new Map<string, Exported>();
    const whole: PhysRange = { base: bar.physical, sizeBytes: bar.sizeBytes };

    function* taken(is: boolean, op: Op<void>): Op<void> {
      yield* op;
      stage.setTaken(is);
      if (is) judge.gaveUp([whole], "the BAR");
      else judge.gaveBack([whole]);
    }

    return {
      exported: (name) => {
        const found = exports.get(name);
        if (!found) throw new NotApplicable(`nothing is exported as ${name}`);
        return found;
      },
      acts: {
        *export({ as, ranges = [{ offset: 0, bytes: bar.sizeBytes }] }) {
          const dma = ranges.map(({ offset, bytes }) => ({ offset, length: bytes }));
          const buf: DmaBuf = yield* vfio.export({ regionIndex: binding.barIndex, ranges: dma });
          const parts = ranges.map((r) => ({ base: bar.physical + r.offset, sizeBytes: r.bytes }));
          exports.set(as, { buf, content: contentOf(parts, (base, bytes) => machine.memory.read(base, bytes)) });
        },
        revoke: () => taken(true, vfio.revoke()),
        restore: () => taken(false, vfio.restore()),
        "memory-decode": ({ on }) => taken(!on, vfio.setMemoryEnabled(on)),
      },
      *close() {
        for (const { buf } of exports.values()) yield* framework.put(buf);
      },
    };
  },
});

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
