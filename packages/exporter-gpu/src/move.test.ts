import {
  type Device,
  type DmaAddr,
  DmaFence,
  ERRNO,
  type Op,
  point,
  type Run,
  Scheduler,
  seeded,
  Usage,
  until,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import {
  ALL,
  allQuiet,
  bytes,
  contents,
  job,
  Nic,
  PAGE,
  refused,
  rig,
  type Rig,
  type RigOptions,
  type VariantId,
} from "./testing/rig.js";
import type { Domain } from "./index.js";

const POISON = Uint8Array.of(0xbe, 0xed, 0xb0, 0xd0);

function world(id: VariantId, options: RigOptions = {}) {
  const r = rig(id, options);
  const shared = r.shared(2);
  r.memory.write("vram", shared.bo.place?.blocks[0]?.start ?? 0, bytes(7));
  return { ...r, ...shared };
}

describe("a move", () => {
  it.each(ALL)("%s: carries the bytes, tells importers, and the old place reads as poison", (id) => {
    const r = world(id);
    const nic = new Nic(r);
    r.run(nic.attach(r.buf));
    r.run(nic.use());
    r.run(r.exporter.evict(r.bo));
    expect([nic.runs.length, nic.told]).toEqual([0, 1]);
    expect(contents(r, r.bo)).toEqual(bytes(7));
    expect(r.memory.read("vram", 0, 4)).toEqual(POISON);
    r.run(r.exporter.move(r.bo, "vram"));
    expect(contents(r, r.bo)).toEqual(bytes(7));
    expect(r.exporter.ledger).toMatchObject({ vramBytes: 2 * PAGE, gttBytes: 0 });
  });

  it("to where it is needs no second place: nothing is copied, and nobody is told", () => {
    const r = rig("linux-7.3");
    const { bo, buf } = r.shared(15);
    const nic = new Nic(r);
    r.run(nic.attach(buf));
    r.run(nic.use());
    const { place } = bo;
    r.run(r.exporter.move(bo, "vram"));
    expect([bo.place === place, nic.told, bo.resv.getFences(Usage.BOOKKEEP).length]).toEqual([true, 0, 0]);
    r.run(r.exporter.pin(bo));
    r.run(r.exporter.move(bo, "vram"));
    expect(refused(r, () => r.run(r.exporter.evict(bo)))).toBe("EBUSY@map");
  });

  it("to where another's move is bringing it returns when the bytes are there", () => {
    for (let seed = 0; seed < 50; seed++) {
      const r = world("linux-7.3", { framework: { scheduler: new Scheduler(seeded(seed)) } });
      const seen: Uint8Array[] = [];
      r.scheduler.spawn("first", r.exporter.evict(r.bo));
      r.scheduler.spawn(
        "second",
        (function* () {
          yield* r.exporter.evict(r.bo);
          seen.push(r.memory.read("gtt", r.bo.place?.blocks[0]?.start ?? 0, 8));
        })(),
      );
      expect(r.scheduler.run()).toEqual({ kind: "done" });
      expect(seen).toEqual([bytes(7)]);
    }
  });

  it("whose copy fails hangs nobody: EIO, the fence says so, the buffer is at the new place, and nothing is left over", () => {
    const r = world("linux-7.3");
    const cause = new RangeError("the engine hangs");
    r.memory.copy = function* () {
      yield* point("gpu.copy");
      throw cause;
    };
    const evict = r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    const status: number[] = [];
    r.scheduler.spawn(
      "look",
      (function* () {
        yield* until("moved", () => r.bo.place?.domain === "gtt");
        const [fence] = r.bo.resv.getFences(Usage.KERNEL);
        if (!fence) return;
        yield* fence.wait();
        status.push(fence.status);
        fence.put();
      })(),
    );
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(evict.error).toMatchObject({ code: "EIO", stage: "map", cause });
    expect(status).toEqual([-ERRNO.EIO]);
    expect(r.exporter.ledger).toMatchObject({ vramBytes: 0, gttBytes: 2 * PAGE });
    r.run(r.fw.put(r.buf));
    expect(Object.values(r.counts()).every((n) => n === 0)).toBe(true);
  });

  it("brings it back in several blocks if need be", () => {
    const r = world("linux-7.3", { vramPages: 6 });
    const small = r.exporter.create({ sizeBytes: PAGE });
    const keep = r.exporter.create({ sizeBytes: 2 * PAGE });
    r.run(r.exporter.evict(r.bo));
    r.exporter.create({ sizeBytes: 2 * PAGE });
    r.exporter.close(small);
    r.run(r.exporter.move(r.bo, "vram"));
    expect(r.bo.place?.blocks).toEqual([
      { start: 2 * PAGE, sizeBytes: PAGE },
      { start: 5 * PAGE, sizeBytes: PAGE },
    ]);
    const nic = new Nic(r);
    r.run(nic.attach(r.buf));
    r.run(nic.use());
    expect(nic.runs.map((run) => run.sizeBytes)).toEqual([PAGE, PAGE]);
    r.run(nic.write(PAGE, bytes(5)));
    expect(contents(r, r.bo, PAGE)).toEqual(bytes(5));
    expect(keep.place?.domain).toBe("vram");
  });

  it.each(["foo", null, undefined, ["vram"]])("to %j, which is no domain: EINVAL@map, pinned or not", (to) => {
    const r = world("linux-7.3");
    const move = (): string => refused(r, () => r.run(r.exporter.move(r.bo, to as Domain)));
    expect(move()).toBe("EINVAL@map");
    r.run(r.exporter.pin(r.bo));
    expect(move()).toBe("EINVAL@map");
  });

  it("where it may not be: EINVAL@map; where there is no room: ENOMEM@map", () => {
    const r = rig("linux-7.3", { ramPages: 1 });
    const [stays, large] = [r.shared(1, { allowed: ["vram"] }), r.shared(2)];
    expect(refused(r, () => r.run(r.exporter.evict(stays.bo)))).toBe("EINVAL@map");
    expect(refused(r, () => r.run(r.exporter.evict(large.bo)))).toBe("ENOMEM@map");
  });

  it.each(["ttm_resource_alloc", "amdgpu_job_alloc_with_ib", "dma_resv_reserve_fences", "dma_resv_get_fences"])(
    "%s without memory: ENOMEM, the new place is given back and the bytes are where they were",
    (op) => {
      let fails = false;
      const r = world("linux-7.3", { framework: { allocFails: (name) => fails && name === op } });
      const fence = job(r, r.bo, Usage.READ);
      fails = true;
      expect(refused(r, () => r.run(r.exporter.evict(r.bo)))).toMatch(/^ENOMEM@(map|lock)$/);
      expect(contents(r, r.bo)).toEqual(bytes(7));
      fails = false;
      fence.signal();
      r.run(r.exporter.evict(r.bo));
      expect(r.bo.place?.domain).toBe("gtt");
    },
  );

  it("an importer whose callback throws does not keep it from moving: a finding, and nothing is lost", () => {
    const r = world("linux-7.3");
    const invalidateMappings = (): void => {
      throw new TypeError("a broken importer");
    };
    const importer = { name: "broken", ops: { allowPeer2peer: true, invalidateMappings } };
    r.run(r.fw.dynamicAttach(r.buf, r.device, importer));
    r.run(r.exporter.evict(r.bo));
    expect(contents(r, r.bo)).toEqual(bytes(7));
    expect(r.exporter.ledger).toMatchObject({ vramBytes: 0, gttBytes: 2 * PAGE });
    expect(r.fw.findings.map((f) => f.party)).toEqual(["importer"]);
  });

  it("while the last reference goes nobody is left to be told, and that is no bug, under any schedule", () => {
    for (let seed = 0; seed < 50; seed++) {
      const r = rig("linux-7.3", { framework: { scheduler: new Scheduler(seeded(seed)) } });
      const bo = r.exporter.create({ sizeBytes: PAGE });
      r.scheduler.spawn("put", r.fw.put(r.exporter.export(bo)));
      r.scheduler.spawn("evict", r.exporter.evict(bo));
      expect(r.scheduler.run()).toEqual({ kind: "done" });
      expect([bo.place?.domain, r.fw.findings]).toEqual(["gtt", []]);
    }
  });

  it("as posted nobody is told once the GEM handle is closed", () => {
    const told = (closes: boolean): number => {
      const r = rig("linux-7.3", { exporter: { asPosted: true } });
      const bo = r.exporter.create({ sizeBytes: PAGE });
      const nic = new Nic(r);
      r.run(nic.attach(r.exporter.export(bo)));
      r.run(nic.use());
      if (closes) r.exporter.close(bo);
      r.run(r.exporter.evict(bo));
      return nic.told;
    };
    expect([false, true].map(told)).toEqual([1, 0]);
  });
});

describe("fences", () => {
  it.each([Usage.KERNEL, Usage.WRITE, Usage.READ, Usage.BOOKKEEP])("usage %i: the copy waits for it", (usage) => {
    const r = world("linux-7.3");
    const fence = job(r, r.bo, usage);
    const task = r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    r.scheduler.spawn(
      "job",
      (function* () {
        yield* until("moved", () => r.bo.place?.domain === "gtt");
        yield* allQuiet(r.scheduler);
        // Until it signals, the job may write to the old place: that is what must be copied.
        r.memory.write("vram", 0, bytes(9));
        expect([task.state, r.exporter.ledger.vramBytes]).toEqual(["runnable", 2 * PAGE]);
        expect(r.bo.resv.testSignaled(Usage.KERNEL)).toBe(false);
        fence.signal();
      })(),
    );
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(contents(r, r.bo)).toEqual(bytes(9));
    expect(r.exporter.ledger.vramBytes).toBe(0);
  });

  it("references to them are given back: those of others, and the copy's own", () => {
    const r = world("linux-7.3");
    const fence = job(r, r.bo, Usage.READ);
    r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    r.scheduler.spawn(
      "job",
      (function* () {
        yield* until("moved", () => r.bo.place?.domain === "gtt");
        fence.signal();
      })(),
    );
    r.scheduler.run();
    const held = r.bo.resv.list?.slots.map((slot) => slot.fence) ?? [];
    // One reference of the reservation's each, and the job's creator's.
    expect(held.map((f) => f.refs)).toEqual(held.map((f) => (f === fence ? 2 : 1)));
    expect(held.length).toBeGreaterThan(0);
  });

  it("who waits for a fence that nobody signals says for whose", () => {
    const r = world("linux-7.3");
    job(r, r.bo, Usage.WRITE);
    const task = r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    const end = r.scheduler.run();
    expect(end).toMatchObject({ kind: "deadlock" });
    expect(JSON.stringify(end)).toMatch(/nic.*then.*sdma amdgpu/);
    expect(task.state).toBe("ended");
  });

  it("what an importer adds in its callback is waited for too", () => {
    const r = world("linux-7.3");
    const { env } = r.fw;
    const fence = new DmaFence(env, { driverName: () => "nic", timelineName: () => "zap" }, env.allocContexts(1), 1);
    const importer = {
      name: "fenced",
      ops: {
        allowPeer2peer: true,
        invalidateMappings(_at: unknown, held: Parameters<typeof r.bo.resv.addFence>[0]) {
          r.bo.resv.reserveFences(held, 1);
          r.bo.resv.addFence(held, fence, Usage.BOOKKEEP);
        },
      },
    };
    r.run(r.fw.dynamicAttach(r.buf, r.device, importer));
    const task = r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    let state = "";
    r.scheduler.spawn(
      "zap",
      (function* () {
        yield* until("moved", () => r.bo.place?.domain === "gtt");
        yield* allQuiet(r.scheduler);
        ({ state } = task);
        fence.signal();
      })(),
    );
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(state).toBe("runnable");
  });

  it("an injected exporter that waits for no fence loses what a job still writes: STALE", () => {
    const r = world("linux-7.3", { exporter: { ignoresFences: true } });
    const nic = new Nic(r, { ignores: true });
    r.run(nic.attach(r.buf));
    r.run(nic.use());
    const fence = job(r, r.bo, Usage.WRITE);
    r.run(r.exporter.evict(r.bo));
    r.run(nic.write(0, bytes(9)));
    fence.signal();
    expect(contents(r, r.bo)).toEqual(bytes(7));
    expect(r.memory.read("vram", 0, 8)).toEqual(bytes(9));
  });

  it("two moves one after the other copy in that order, under any schedule", () => {
    for (let seed = 0; seed < 50; seed++) {
      const r = world("linux-7.3", { framework: { scheduler: new Scheduler(seeded(seed)) } });
      r.scheduler.spawn("evict", r.exporter.evict(r.bo));
      r.scheduler.spawn("back", r.exporter.move(r.bo, "vram"));
      r.scheduler.spawn("again", r.exporter.evict(r.bo));
      expect(r.scheduler.run()).toEqual({ kind: "done" });
      expect(contents(r, r.bo)).toEqual(bytes(7));
    }
  });

  it.each<[VariantId, boolean]>([
    ["dma-address", false],
    ["linux-7.3", false],
    ["annotated-address", false],
    ["vma", false],
    ["pfn", true],
    ["pfn-locked", true],
  ])("%s: is the copy done when the reservation is given back? %s", (id, settled) => {
    const r = world(id);
    const seen: boolean[] = [];
    r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    r.scheduler.spawn(
      "look",
      (function* () {
        yield* until("moved", () => r.bo.place?.domain === "gtt" && !r.bo.resv.locked);
        seen.push(r.bo.resv.testSignaled(Usage.KERNEL));
      })(),
    );
    r.scheduler.run();
    expect(seen).toEqual([settled]);
  });

  it("an importer that maps during the move has the bytes once the KERNEL fences have signalled", () => {
    for (let seed = 0; seed < 50; seed++) {
      const r = world("linux-7.3", { framework: { scheduler: new Scheduler(seeded(seed)) } });
      const nic = new Nic(r, { peer2peer: false });
      r.run(nic.attach(r.buf));
      const read = r.scheduler.spawn("nic", readLocked(r, nic));
      r.scheduler.spawn("evict", r.exporter.evict(r.bo));
      expect(r.scheduler.run()).toEqual({ kind: "done" });
      expect(read.result).toEqual({ kind: "done", bytes: bytes(7) });
    }
  });
});

/** With the reservation held, so that nothing moves between the wait and the read. */
function* readLocked({ fw }: Rig, { attachment }: Nic): Op<unknown> {
  using held = yield* attachment.buf.resv.lock();
  const table = yield* fw.mapAttachment(attachment, "to-device", held);
  yield* held.resv.waitTimeout(Usage.KERNEL);
  const [run] = table.runs;
  const result = yield* (attachment.device as Device).read((run as Run).address as DmaAddr, 8);
  yield* fw.unmapAttachment(attachment, table, "to-device", held);
  return result;
}
