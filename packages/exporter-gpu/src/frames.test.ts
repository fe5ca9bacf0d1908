import { refusal } from "@dma-buf/config/refusal";
import { addr, type Op, type PfnAnswer, type PhysAddr, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import {
  BAR,
  bytes,
  contents,
  FRAMES,
  Nic,
  PAGE,
  RAM,
  refused,
  rig,
  type Rig,
  type RigOptions,
  waitsFor,
} from "./testing/rig.js";
import type { BufferObjectOptions } from "./index.js";

const frame = (physical: number): number => physical / PAGE;

function* ask({ fw }: Rig, { attachment }: Nic, pgoff: number): Op<PfnAnswer> {
  if (!fw.contract.rows.getPfnAttachment) return yield* fw.getPfnUnlocked(attachment, pgoff);
  using held = yield* attachment.buf.resv.lock();
  return yield* fw.getPfnAttachment(attachment, pgoff, held);
}

describe.each(FRAMES)("%s", (id) => {
  function world(options: RigOptions = {}, bo: Partial<BufferObjectOptions> = {}, nicOptions = {}) {
    const r = rig(id, options);
    const shared = r.shared(4, bo);
    const nic = new Nic(r, nicOptions);
    r.run(nic.attach(shared.buf));
    return { ...r, ...shared, nic, ask: (pgoff: number) => r.run(ask(r, nic, pgoff)) };
  }

  it("tells where the BAR shows the page, with the order of its block", () => {
    const { ask: at, bo } = world();
    expect([0, 3].map(at)).toEqual([0, 3].map((page) => ({ pfn: frame(BAR) + page, maxOrder: 2 })));
    expect(bo.place?.domain).toBe("vram");
  });

  it("over several blocks the order is each block's", () => {
    const { ask: at, run, exporter, bo } = world({ vramPages: 9 });
    const hole = exporter.create({ sizeBytes: PAGE });
    const keep = exporter.create({ sizeBytes: PAGE });
    exporter.close(hole);
    run(exporter.evict(bo));
    exporter.create({ sizeBytes: 4 * PAGE });
    run(exporter.move(bo, "vram"));
    expect(keep.place?.domain).toBe("vram");
    expect([0, 1, 2, 3].map(at).map((a) => a.maxOrder)).toEqual([0, 1, 1, 0]);
  });

  it.each([-1, 0.5, Number.NaN, 4])("page %d is none of the buffer's: EINVAL@query, and nothing moves", (pgoff) => {
    const r = world({ windowPages: 8 }, { noCpuAccess: true });
    expect(refused(r, () => r.ask(pgoff))).toBe("EINVAL@query");
    expect(() => r.ask(pgoff)).toThrow(`page ${pgoff} is none`);
    expect(r.bo.place?.blocks[0]?.start).toBe(12 * PAGE);
  });

  it("S09a: what lies beyond a small window is moved into it first, and the bytes are there", () => {
    const { ask: at, bo, memory, ...r } = world({ windowPages: 8 }, { noCpuAccess: true });
    memory.write("vram", 12 * PAGE, bytes(7));
    expect(at(0)).toEqual({ pfn: frame(BAR), maxOrder: 2 });
    expect(r.machine.memory.read(BAR, 8)).toEqual(bytes(7));
    expect(bo.place?.blocks).toEqual([{ start: 0, sizeBytes: 4 * PAGE }]);
    expect(r.fw.findings).toEqual([]);
  });

  it("a member of the fabric, which reaches all of VRAM, is told frames like anybody", () => {
    const r = rig(id, { windowPages: 8, inFabric: true });
    r.fabric.join(r.device);
    const { bo, buf } = r.shared(4, { noCpuAccess: true });
    const nic = new Nic(r);
    r.run(nic.attach(buf));
    expect(r.run(ask(r, nic, 0))).toEqual({ pfn: frame(BAR), maxOrder: 2 });
    expect(bo.place?.blocks[0]?.start).toBe(0);
  });

  it("S09b: pinned beyond it, it has no frame: EOPNOTSUPP@query", () => {
    const r = world({ windowPages: 8 }, { noCpuAccess: true });
    r.run(r.exporter.pin(r.bo));
    expect(refused(r, () => r.ask(0))).toBe("EOPNOTSUPP@query");
  });

  it("the window is full: RAM; where that is not allowed ENOMEM@query", () => {
    const small: RigOptions = { windowPages: 2 };
    const { ask: at, bo } = world(small, { noCpuAccess: true });
    expect([at(0).pfn, bo.place?.domain]).toEqual([frame(RAM), "gtt"]);
    const r = world(small, { noCpuAccess: true, allowed: ["vram"] });
    expect(refused(r, () => r.ask(0))).toBe("ENOMEM@query");
  });

  it.each<[string, RigOptions]>([
    ["S04a: no route", { acsRedirect: true }],
    ["S02c: a bus that counts from another zero", { busOffsetBytes: 2 ** 30 }],
    ["an IOMMU that translates below the switch", { machine: { iommu: "translated" } }],
  ])("%s: the frames of RAM are told, and the bytes arrive", (_name, options) => {
    const { ask: at, bo, nic, run, ...r } = world(options);
    expect([at(0).pfn, bo.place?.domain]).toEqual([frame(RAM), "gtt"]);
    run(nic.use());
    run(nic.write(8, bytes(3)));
    expect(contents({ ...r, run }, bo, 8)).toEqual(bytes(3));
  });

  it("a frame told before a move is dead after it: what is written there is not in the buffer", () => {
    const { ask: at, bo, run, exporter, machine, ...r } = world();
    const { pfn } = at(0);
    run(exporter.evict(bo));
    machine.memory.write(addr<PhysAddr>(pfn * PAGE), bytes(9));
    expect(contents({ ...r, run, exporter, machine }, bo)).toEqual(bytes(0));
    expect(at(0).pfn).toBe(frame(BAR));
  });

  it("nobody is told a frame while a KERNEL fence is pending", () => {
    const { bo, run, exporter, fw, scheduler, nic, ...r } = world();
    scheduler.spawn("evict", exporter.evict(bo));
    const asked = scheduler.spawn("ask", ask({ ...r, run, exporter, fw, scheduler }, nic, 0));
    const seen: boolean[] = [];
    scheduler.observe(() => void seen.push(false));
    expect(scheduler.run()).toEqual({ kind: "done" });
    expect(asked.state).toBe("done");
    expect(bo.resv.testSignaled(Usage.KERNEL)).toBe(true);
    expect(fw.findings).toEqual([]);
  });

  it.each([Usage.KERNEL, Usage.WRITE])(
    "usage %i: the exporter waits for KERNEL fences, whoever's they are",
    (usage) => {
      const r = world();
      expect(waitsFor(r, r.bo, usage, ask(r, r.nic, 0))).toBe(usage === Usage.KERNEL);
    },
  );

  it("gone: ENODEV@query", () => {
    const r = world();
    r.run(r.exporter.lose(r.bo));
    expect(refused(r, () => r.ask(0))).toBe("ENODEV@query");
  });

  it("no memory for the move: ENOMEM@query", () => {
    let fails = false;
    const framework = { allocFails: (op: string) => fails && op === "ttm_resource_alloc" };
    const r = world({ windowPages: 8, framework }, { noCpuAccess: true });
    fails = true;
    expect(refusal(() => r.ask(0))).toBe("ENOMEM@query");
    fails = false;
    expect(r.ask(0).pfn).toBe(frame(BAR));
  });

  it("maps as well, for a device", () => {
    const { fw, nic, run, exporter } = world();
    const table = run(fw.mapAttachmentUnlocked(nic.attachment, "to-device"));
    expect(Array.from(table.runs, (r) => r.address)).toEqual([BAR]);
    run(fw.unmapAttachmentUnlocked(nic.attachment, table, "to-device"));
    expect(exporter.ledger.tables).toBe(0);
  });
});
