/** Random lives: submissions of any list, revokes, moves, unmaps and closes at once, in a random order of steps. */
import { DmaBufError, type Op, Scheduler, seeded } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import type { GpuOptions, ImportedBuffer } from "./index.js";
import { Light } from "./testing/light.js";
import { finished, VA } from "./testing/rig.js";
import { SERVING } from "./testing/variants.js";

type Act =
  | { readonly do: "submit"; readonly list: readonly number[]; readonly explicit: boolean }
  | { readonly do: "revoke" | "restore" | "move" }
  | { readonly do: "unmap" | "remap" | "again"; readonly buffer: number };

const buffer = fc.integer({ min: 0, max: 1 });
const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("submit" as const),
      list: fc.array(buffer, { maxLength: 3 }),
      explicit: fc.boolean(),
    }),
  },
  fc.record({ do: fc.constantFrom("revoke" as const, "restore" as const, "move" as const) }),
  fc.record({ do: fc.constantFrom("unmap" as const, "remap" as const, "again" as const), buffer }),
);
const life = fc.array(act, { maxLength: 6 });

const EXPECTED = /ENODEV|EAGAIN|ENOENT|EINVAL|EBUSY|ENOMEM/;

it.each(SERVING)(
  "%s: nobody is stuck, nothing is left, and no job that was let in faults",
  (id) => {
    const driver = fc.constantFrom<GpuOptions>({}, { asPosted: true });
    fc.assert(
      fc.property(fc.array(life, { minLength: 1, maxLength: 3 }), fc.nat(), driver, (lives, seed, importer) => {
        const strategy = seeded(seed);
        strategy.begin();
        const scheduler = new Scheduler(strategy);
        const light = new Light(scheduler, id, { importer });
        const { bo, buf: ram } = light.bo();
        const bufs = [light.bar(), ram];
        const imports = bufs.map((buf) => light.run(light.gpu.import(buf)));
        const vm = light.gpu.createVm();
        imports.forEach((one, n) => vm.map(one, { va: VA + n * 4096 }));
        const tasks = lives.map((acts, n) => scheduler.spawn(`life ${n}`, lived(acts)));
        expect(scheduler.run().kind).toBe("done");
        expect(tasks.map((task) => task.error)).toEqual(tasks.map(() => undefined));
        light.run(vm.destroy());
        for (const one of imports) light.run(light.gpu.close(one));
        light.exporter.close(bo);
        for (const buf of bufs) light.run(light.fw.put(buf));
        expect(light.left()).toEqual([]);

        function* lived(acts: readonly Act[]): Op<void> {
          for (const one of acts) {
            try {
              yield* does(one);
            } catch (error) {
              if (!(error instanceof DmaBufError && EXPECTED.test(error.code))) throw error;
            }
          }
        }

        function* does(one: Act): Op<void> {
          if (one.do === "revoke") yield* light.vfio.revoke();
          if (one.do === "restore") yield* light.vfio.restore();
          if (one.do === "move") yield* light.exporter.move(bo, bo.place?.domain === "vram" ? "gtt" : "vram");
          if (one.do === "submit") return yield* submits(one.list, one.explicit);
          if (!("buffer" in one)) return;
          const at = VA + one.buffer * 4096;
          const imported = imports[one.buffer] as ImportedBuffer;
          if (one.do === "unmap") return yield* vm.unmap(at);
          if (one.do === "remap") return vm.map(imported, { va: at });
          // A handle more, and back.
          const again = yield* light.gpu.import(imported.buf);
          expect(again).toBe(imported);
          yield* light.gpu.close(again);
        }

        function* submits(list: readonly number[], explicit: boolean): Op<void> {
          const buffers = list.map((n) => ({ bo: imports[n] as ImportedBuffer }));
          const commands = list.map((n) => ({ do: "read", va: VA + n * 4096, sizeBytes: 1 }) as const);
          const sync = explicit ? "explicit" : "implicit";
          const results = yield* finished(yield* light.gpu.submit({ vm, buffers, commands, sync }));
          // A range may have been unmapped by another life: that is the user's affair, and the GPU says so.
          for (const result of results)
            expect(result.kind === "done" || (result.kind === "fault" && result.by === vm.name)).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  },
  60_000,
);
