/** What others do while importers are told of a move, and when they do not come back. */
import { type DmaBuf, type DmaBufAttachment, type Held, type Op, until } from "@dma-buf/core";
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import type { BufferObjectOptions } from "./index.js";
import {
  ALL,
  allQuiet,
  bytes,
  contents,
  MAPPED,
  Nic,
  refused,
  rig,
  type Rig,
  type RigOptions,
  type VariantId,
} from "./testing/rig.js";

/** A static importer under `pfn-locked`, which was told nothing yet. */
function untold(exporter: RigOptions["exporter"] = {}, bo: Partial<BufferObjectOptions> = {}) {
  const r = rig("pfn-locked", { exporter });
  const shared = r.shared(1, bo);
  const nic = new Nic(r, { isStatic: true });
  r.run(nic.attach(shared.buf));
  return { ...r, ...shared, nic };
}

const never = (): Op<void> => until("for ever", () => false);

/** An importer whose callback does `what`; what came of it. */
function calledBack(r: Rig, buf: DmaBuf, what: (at: DmaBufAttachment, held: Held) => Op<unknown>): () => string {
  let answer = "not called";
  function* invalidateMappings(at: DmaBufAttachment, held: Held): Op<void> {
    try {
      yield* what(at, held);
      answer = "served";
    } catch (error) {
      answer = refusal(() => {
        throw error;
      });
    }
  }
  r.run(r.fw.dynamicAttach(buf, r.device, { name: "nic", ops: { allowPeer2peer: true, invalidateMappings } }));
  return () => answer;
}

describe("who asks for the buffer inside its callback", () => {
  const asks: readonly [
    string,
    readonly VariantId[],
    (r: Rig, at: DmaBufAttachment, held: Held) => Op<unknown>,
    string,
  ][] = [
    ["maps", MAPPED, (r, at, held) => r.fw.mapAttachment(at, "bidirectional", held), "EBUSY@map"],
    ["pins", MAPPED, (r, at, held) => r.fw.pinAttachment(at, held), "EBUSY@pin"],
    ["maps for the kernel", ALL, (r, at, held) => r.fw.vmapBuffer(at.buf, held), "EBUSY@cpu-access"],
    ["asks", ["pfn-locked"], (r, at, held) => r.fw.getPfnAttachment(at, 0, held), "EBUSY@query"],
  ];

  it.each(asks.flatMap(([name, ids, act, code]) => ids.map((id) => [id, name, act, code] as const)))(
    "%s: %s: refused, which is a finding of the importer's, and the move goes on",
    (id, _name, act, code) => {
      const r = rig(id);
      const { bo, buf } = r.shared(1);
      r.memory.write("vram", 0, bytes(7));
      const answer = calledBack(r, buf, (at, held) => act(r, at, held));
      r.run(r.exporter.evict(bo));
      expect(answer()).toBe(code);
      expect([bo.place?.domain, bo.pinCount, contents(r, bo)]).toEqual(["gtt", 0, bytes(7)]);
      expect(r.fw.findings[0]).toMatchObject({ party: "importer", level: "violation" });
      expect(r.counts()).toMatchObject({ vramBytes: 0, tables: 0, pins: 0 });
    },
  );
});

describe("who can neither be told nor has pinned", () => {
  it.each(["linux-7.3", "annotated-address"] as const)("%s: is refused at map; with a pin it is served", (id) => {
    const r = rig(id);
    const nic = new Nic(r, { unnotified: true });
    r.run(nic.attach(r.shared(1).buf));
    expect(refused(r, () => r.run(nic.use()))).toBe("EOPNOTSUPP@map");
    r.run(nic.pin());
    r.run(nic.use());
    expect(nic.runs.length).toBe(1);
  });

  it("linux-7.3: as posted it is served, and writes where the buffer was", () => {
    const r = rig("linux-7.3", { exporter: { asPosted: true } });
    const { bo, buf } = r.shared(1);
    const nic = new Nic(r, { unnotified: true });
    r.run(nic.attach(buf));
    r.run(nic.use());
    r.run(r.exporter.evict(bo));
    r.run(nic.write(0, bytes(9)));
    expect(contents(r, bo)).toEqual(bytes(0));
  });

  it("pfn-locked: a static importer has it in RAM from its first question to its detach", () => {
    const { nic, bo, ...r } = untold();
    r.run(nic.use());
    r.run(nic.use());
    expect([bo.place?.domain, bo.pinCount]).toEqual(["gtt", 1]);
    expect(refused(r, () => r.run(r.exporter.move(bo, "vram")))).toBe("EBUSY@map");
    r.run(nic.detach());
    expect(bo.pinCount).toBe(0);
    r.run(r.exporter.move(bo, "vram"));
  });

  it.each<[string, string, (t: ReturnType<typeof untold>) => void, Parameters<typeof untold>?]>([
    ["it is gone", "ENODEV@query", ({ run, exporter, bo }) => run(exporter.lose(bo))],
    ["it is pinned in VRAM", "EOPNOTSUPP@query", ({ run, exporter, bo }) => run(exporter.pin(bo))],
    ["it may not be in RAM", "EOPNOTSUPP@query", () => {}, [{}, { allowed: ["vram"] }]],
    ["nobody is promised that it stays", "EOPNOTSUPP@query", () => {}, [{ pinnable: false }]],
  ])(
    "pfn-locked: a static importer is told nothing where %s: %s, and nothing is kept",
    (_why, expected, act, how = []) => {
      const t = untold(...how);
      act(t);
      const pins = t.bo.pinCount;
      expect(refused(t, () => t.run(t.nic.use()))).toBe(expected);
      t.run(t.nic.detach());
      expect([t.bo.pinCount, t.fw.findings]).toEqual([pins, []]);
    },
  );

  it("pfn: a static importer was pinned when it attached", () => {
    const r = rig("pfn");
    const nic = new Nic(r, { isStatic: true });
    r.run(nic.attach(r.shared(1).buf));
    r.run(nic.use());
    expect(nic.runs.length).toBe(1);
  });
});

describe.each(ALL)("%s", (id) => {
  it("an importer puts the last reference in its callback: the move ends, then the memory goes, once", () => {
    const r = rig(id);
    const { bo, buf } = r.shared(2);
    function* invalidateMappings(): Op<void> {
      yield* r.fw.put(buf);
      yield* allQuiet(r.scheduler);
    }
    const ops = { allowPeer2peer: true, invalidateMappings };
    r.run(r.fw.dynamicAttach(buf, r.device, { name: "nic", ops }));
    r.run(r.exporter.evict(bo));
    expect(r.exporter.ledger).toMatchObject({ bufferObjects: 0, vramBytes: 0, gttBytes: 0 });
    expect([r.memory.ledger.gpuPages, bo.place, bo.resv.locked]).toEqual([0, null, false]);
    for (const to of ["vram", "gtt"] as const)
      expect(refused(r, () => r.run(r.exporter.move(bo, to)))).toBe("ENODEV@map");
  });

  it("an importer that does not come back: HANG, and the new place is given back", () => {
    const r = rig(id);
    const { bo, buf } = r.shared(2);
    const ops = { allowPeer2peer: true, invalidateMappings: never };
    r.run(r.fw.dynamicAttach(buf, r.device, { name: "nic", ops }));
    const before = r.counts();
    r.scheduler.spawn("evict", r.exporter.evict(bo));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([r.counts(), bo.resv.locked, bo.place?.domain]).toEqual([before, false, "vram"]);
  });
});
