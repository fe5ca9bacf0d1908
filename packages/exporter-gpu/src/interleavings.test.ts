/** Any actors, any steps, any order, any failure. */
import { type DmaBuf, Scheduler, seeded } from "@dma-buf/core";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Actor, acts, type Lie, noIova, onlyRefused } from "./testing/actors.js";
import { ALL, rig, type VariantId } from "./testing/rig.js";
import type { BufferObject, BufferObjectOptions } from "./index.js";

interface Plan {
  readonly seed: number;
  readonly actors: readonly Actor[];
  readonly bo: Partial<BufferObjectOptions>;
  readonly inFabric: boolean;
  /** The n-th allocation and the n-th DMA mapping that fail. */
  readonly failsAlloc: number;
  readonly failsMap: number;
}

const times = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(of, { minLength: 1, maxLength: 3 });
const actor: fc.Arbitrary<Actor> = fc.oneof(
  {
    arbitrary: fc.record({ kind: fc.constant("importer"), nth: fc.nat(5), uses: fc.integer({ min: 1, max: 3 }) }),
    weight: 4,
  },
  {
    arbitrary: fc.record({ kind: fc.constant("driver"), steps: times(fc.constantFrom("vram", "gtt", "pin", "unpin")) }),
    weight: 3,
  },
  {
    arbitrary: fc.record({ kind: fc.constant("cpu"), steps: times(fc.constantFrom("read", "write", "vmap")) }),
    weight: 2,
  },
  {
    arbitrary: fc.record({ kind: fc.constant("liar"), lie: fc.constantFrom<Lie[]>("throws", "maps", "pins", "keeps") }),
    weight: 1,
  },
  { arbitrary: fc.record({ kind: fc.constantFrom("lose", "remove") }), weight: 1 },
) as fc.Arbitrary<Actor>;
const plan: fc.Arbitrary<Plan> = fc.record({
  seed: fc.nat(),
  actors: fc.array(actor, { minLength: 2, maxLength: 5 }),
  bo: fc.constantFrom<Partial<BufferObjectOptions>[]>(
    {},
    { noCpuAccess: true },
    { preferred: "gtt" },
    { allowed: ["vram"] },
  ),
  inFabric: fc.boolean(),
  failsAlloc: fc.nat(30),
  failsMap: fc.nat(6),
});

describe.each(ALL)("%s", (id) => {
  it("whoever does what when: no byte is lost, nobody hangs, and all is given back", () => {
    fc.assert(
      fc.property(plan, (p) => {
        expect(lived(id, p)).toEqual([]);
      }),
      { numRuns: 100 },
    );
  });
});

/** What is left, and whose fault that is. */
function lived(id: VariantId, p: Plan): unknown[] {
  let [allocs, maps] = [0, 0];
  const r = rig(id, {
    framework: { scheduler: new Scheduler(seeded(p.seed)), allocFails: () => ++allocs === p.failsAlloc },
    vramPages: 8,
    windowPages: 4,
    ramPages: 4,
    inFabric: p.inFabric,
  });
  if (p.inFabric) r.fabric.join(r.device);
  const map = r.device.dma.mapPhys.bind(r.device.dma);
  Object.assign(r.device.dma, {
    mapPhys: (...args: Parameters<typeof map>) => (++maps === p.failsMap ? noIova() : map(...args)),
  });
  let made: { bo: BufferObject; buf: DmaBuf };
  try {
    made = r.shared(2, p.bo);
  } catch (error) {
    onlyRefused(error);
    return [];
  }
  const { buf } = made;
  const taken = p.actors.some(({ kind }) => kind === "lose" || kind === "remove");
  // References first: the last one goes when the last of them is done.
  for (const one of p.actors) if (one.kind !== "lose" && one.kind !== "remove") r.fw.get(buf);
  const tasks = p.actors.map((one, i) => r.scheduler.spawn(`${one.kind} ${i}`, acts(r, made, one, i, taken)));
  tasks.push(r.scheduler.spawn("creator", r.fw.put(buf)));
  expect(r.scheduler.run()).toEqual({ kind: "done" });
  for (const task of tasks) if (task.state !== "done") onlyRefused(task.error);
  const liars = p.actors.some(({ kind }) => kind === "liar");
  const left = Object.entries(r.counts()).filter(([, n]) => n !== 0);
  return [...left, ...r.fw.findings.filter((f) => f.level !== "warn" && !(liars && f.party === "importer"))];
}
