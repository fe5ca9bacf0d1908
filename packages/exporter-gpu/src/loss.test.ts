import { type DmaBuf, type Op, until, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import {
  ALL,
  allQuiet,
  MAPPED,
  Nic,
  PAGE,
  rig,
  type Rig,
  type RigOptions,
  type VariantId,
  waitsFor,
} from "./testing/rig.js";

const POSTED: readonly VariantId[] = ["dma-address", "linux-7.3", "vma"];

function attached(r: Rig, buf: DmaBuf, ignores = false): Nic {
  const nic = new Nic(r, { ignores });
  r.run(nic.attach(buf));
  r.run(nic.use());
  return nic;
}

function zeros(r: Rig): boolean {
  return Object.values(r.counts()).every((n) => n === 0);
}

describe("taking memory away", () => {
  const cases: readonly [VariantId, RigOptions][] = [
    ...ALL.map((id) => [id, {}] as [VariantId, RigOptions]),
    ...POSTED.map((id) => [id, { exporter: { asPosted: true } }] as [VariantId, RigOptions]),
  ];

  it.each(cases)("%s, %j: waits for the fences of every usage, importers or not", (id, options) => {
    for (const usage of [Usage.KERNEL, Usage.WRITE, Usage.READ, Usage.BOOKKEEP]) {
      const r = rig(id, options);
      const bo = r.exporter.create({ sizeBytes: PAGE });
      r.exporter.export(bo);
      expect(waitsFor(r, bo, usage, r.exporter.lose(bo))).toBe(true);
      const alone = r.exporter.create({ sizeBytes: PAGE });
      expect(waitsFor(r, alone, usage, r.exporter.lose(alone))).toBe(true);
      expect(r.exporter.ledger.vramBytes).toBe(0);
    }
  });

  it("ended while it waits for an unmap, the memory is nobody else's until the buffer goes, then it is back", () => {
    const r = rig("linux-7.3");
    const { bo, buf } = r.shared(2);
    const nic = attached(r, buf, true);
    r.scheduler.spawn("lose", r.exporter.lose(bo));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([bo.place, bo.resv.locked, r.exporter.ledger.vramBytes]).toEqual([null, false, 2 * PAGE]);
    r.run(nic.detach());
    r.run(r.fw.put(buf));
    expect(zeros(r)).toBe(true);
  });

  it.each(ALL)("%s: ended inside a callback that does not return: the same", (id) => {
    const r = rig(id);
    const { bo, buf } = r.shared(2);
    const ops = { allowPeer2peer: true, invalidateMappings: () => until("for ever", () => false) };
    const at = r.run(r.fw.dynamicAttach(buf, r.device, { name: "nic", ops }));
    r.scheduler.spawn("lose", r.exporter.lose(bo));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([bo.place, r.exporter.ledger.vramBytes]).toEqual([null, 2 * PAGE]);
    r.run(r.fw.detachAttachment(buf, at));
    r.run(r.fw.put(buf));
    expect(zeros(r)).toBe(true);
  });

  it("tried again, it waits for what is left, tells nobody twice, and gives the memory back once", () => {
    const r = rig("linux-7.3");
    const { bo, buf } = r.shared(2);
    const nic = attached(r, buf, true);
    r.scheduler.spawn("lose", r.exporter.lose(bo));
    r.scheduler.run();
    const tasks = [1, 2].map((n) => r.scheduler.spawn(`again ${n}`, r.exporter.lose(bo)));
    function* detach(): Op<void> {
      yield* allQuiet(r.scheduler);
      expect(tasks.map((t) => t.state)).toEqual(["runnable", "runnable"]);
      yield* nic.detach();
    }
    r.run(detach());
    r.scheduler.run();
    expect([...tasks.map((t) => t.state), nic.told, r.exporter.ledger.vramBytes]).toEqual(["done", "done", 1, 0]);
    r.run(r.fw.put(buf));
    expect(zeros(r)).toBe(true);
  });
});

describe("removing the GPU", () => {
  it("who never unmaps keeps nobody else from being told", () => {
    const r = rig("linux-7.3");
    const [first, second] = [r.shared(1), r.shared(1)];
    const [keeps, drops] = [attached(r, first.buf, true), attached(r, second.buf)];
    r.scheduler.spawn("remove", r.exporter.remove());
    expect(r.scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ blockedOn: "unmap by nic" }] });
    expect([keeps.told, drops.told, drops.runs.length, second.bo.place]).toEqual([1, 1, 0, null]);
  });

  it.each(MAPPED)("%s: ended in the middle, everything comes back with the last references", (id) => {
    const r = rig(id);
    const shared = [r.shared(1), r.shared(2), r.shared(3)];
    const nics = shared.map(({ buf }) => attached(r, buf, true));
    const remove = r.exporter.remove();
    for (let n = 0; n < 4; n++) remove.next();
    remove.return();
    for (const nic of nics) r.run(nic.detach());
    for (const { buf } of shared) r.run(r.fw.put(buf));
    expect(zeros(r)).toBe(true);
  });
});
