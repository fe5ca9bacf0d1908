/** The catalogue's cells in which this importer plays, on the machine, by bytes: as posted, and as the best that obeys. */
import { DmaFence, type Op, until } from "@dma-buf/core";
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import {
  BAR,
  bytes,
  does,
  finished,
  leave,
  read,
  type Rig,
  rig,
  type RigOptions,
  type Seat,
  seated,
  VA,
  write,
} from "./testing/rig.js";
import { SERVING, type VariantId } from "./testing/variants.js";

const POSTED: RigOptions = { importer: { asPosted: true } };
const T2: RigOptions = { base: "T2", machine: { iommu: "translated" } };

/** A fence that the test signals. */
function gate(r: Rig): DmaFence {
  const { env } = r.fw;
  return new DmaFence(env, { driverName: () => "test", timelineName: () => "gate" }, env.allocContexts(1), 1);
}

/** Waits until nobody else can go on. */
const quiet = (r: Rig): Op<void> =>
  until(
    "quiet",
    () => false,
    () => "time",
    r.scheduler.now + 1,
  );

/**
 * A job maps the buffer; another, that lists it or not, is running when the exporter revokes, and writes when it can. What
 * came of the write: `before` the revoke returned, `STALE` after it, or what the GPU says.
 */
function writeAcrossRevoke(r: Rig, lists: boolean, revoke = () => r.vfio.revoke()): string {
  const buf = r.bar(1);
  const seat = r.run(seated(r.gpu, buf));
  r.run(does(r.gpu, seat, write(1)));
  const open = gate(r);
  r.scheduler.spawn("user", job(r, seat, lists, open));
  const revoking = r.scheduler.spawn("vmm", revokes(r, revoke));
  r.scheduler.spawn("gate", opens(r, open));
  const end = r.scheduler.run();
  if (end.kind !== "done") return "HANG";
  expect(revoking.state).toBe("done");
  r.run(leave(r.gpu, seat));
  r.run(r.fw.put(buf));
  return outcome;
}

let outcome = "";

function* job(r: Rig, { vm, bo }: Seat, lists: boolean, open: DmaFence): Op<void> {
  const commands = [read(), { do: "wait", fence: open } as const, write(2)];
  const results = yield* finished(yield* r.gpu.submit({ vm, buffers: lists ? [{ bo }] : [], commands }));
  const arrived = r.machine.memory.read(BAR, 8)[0] === 2;
  outcome = arrived ? (revoked ? "STALE" : "before") : (results[1]?.kind ?? "nothing");
}

let revoked = false;

function* revokes(r: Rig, revoke: () => Op<void>): Op<void> {
  revoked = false;
  // When the job stands at its gate.
  yield* quiet(r);
  yield* revoke();
  revoked = true;
}

/** The gate opens when the revoke is over, or cannot go on. */
function* opens(r: Rig, open: DmaFence): Op<void> {
  yield* quiet(r);
  yield* quiet(r);
  open.signal();
}

describe.each(SERVING)("%s", (id) => {
  it("S37c, S47b, S66a: a job that lists the buffer ends before a revoke, and before a close", () => {
    expect(writeAcrossRevoke(rig(id), true)).toBe("before");
    const r = rig(id);
    expect(writeAcrossRevoke(r, true, () => r.vfio.close())).toBe("before");
  });

  it("S66b, S66c: a job that does not list it faults in the GPU's own table, after the revoke", () => {
    expect(writeAcrossRevoke(rig(id), false)).toBe("fault");
    expect(writeAcrossRevoke(rig(id, T2), false)).toBe("fault");
  });

  it("without the TLB flush, the same job writes to what was revoked", () => {
    expect(writeAcrossRevoke(rig(id, { importer: { flush: false } }), false)).toBe("STALE");
  });

  it("S38a: who keeps what it mapped until its next use is reached through it after a revoke, unless the exporter waits", () => {
    const r = rig(id, { importer: { keeps: true } });
    const seat = r.run(seated(r.gpu, r.bar(1)));
    r.run(does(r.gpu, seat, write(1)));
    r.scheduler.spawn("vmm", r.vfio.revoke());
    const waits = !id.startsWith("pfn") && r.fw.contract.policy.drain.includes("unmap");
    expect([r.scheduler.run().kind, seat.vm.reaches(VA)]).toEqual([waits ? "deadlock" : "done", BAR]);
    r.run(leave(r.gpu, seat));
    expect([r.gpu.ledger.runs, r.machine.ledger.dmaMappings]).toEqual([0, 0]);
  });

  it("S46a: a job that never ends keeps the revoke waiting, and is named", () => {
    const r = rig(id);
    const seat = r.run(seated(r.gpu, r.bar(1)));
    r.run(r.gpu.submit({ vm: seat.vm, buffers: [{ bo: seat.bo }], commands: [] }));
    const never = { do: "wait", fence: gate(r) } as const;
    r.scheduler.spawn("user", r.gpu.submit({ vm: seat.vm, buffers: [{ bo: seat.bo }], commands: [never] }));
    r.scheduler.spawn(
      "vmm",
      revokes(r, () => r.vfio.revoke()),
    );
    const end = r.scheduler.run();
    expect(end.kind === "deadlock" && end.waits.find((w) => w.task === "vmm")?.site).toBe("fence.wait");
  });

  it("S41c: after an un-revoke the next job maps again", () => {
    const r = rig(id);
    const buf = r.bar(1);
    const seat = r.run(seated(r.gpu, buf));
    r.run(does(r.gpu, seat, write(1)));
    r.run(r.vfio.setMemoryEnabled(false));
    r.run(r.vfio.setMemoryEnabled(true));
    expect(r.run(does(r.gpu, seat, write(5), read()))[1]).toEqual({ kind: "done", bytes: bytes(5) });
  });

  it("S48: a compositor's next frame is refused with ENODEV, and whoever asked for a pin learned it at import", () => {
    const r = rig(id);
    const seat = r.run(seated(r.gpu, r.bar(1)));
    r.run(does(r.gpu, seat, write(1)));
    r.run(r.vfio.revoke());
    const stage = id.startsWith("pfn") ? "query" : "map";
    expect(r.answer(() => does(r.gpu, seat, write(2)))).toBe(`ENODEV@${stage}`);
    const pinned = rig(id, { importer: { importer: "pinned" } });
    const buf = pinned.bar(1);
    const told = { "linux-7.3": "EOPNOTSUPP@attach" }[id as string] ?? "EINVAL@pin";
    expect(pinned.answer(() => pinned.gpu.import(buf))).toBe(told);
  });

  it("S37g, S40a: a static importer is refused a BAR at attach", () => {
    const r = rig(id, { importer: { importer: "static" } });
    const buf = r.bar(1);
    const told: Partial<Record<VariantId, string>> = {
      "dma-address": "EINVAL@attach",
      pfn: "EINVAL@attach",
      "linux-7.3": "EOPNOTSUPP@attach",
    };
    expect(r.answer(() => r.gpu.import(buf))).toBe(told[id] ?? "EOPNOTSUPP@attach");
  });

  it("S40b: a static importer of a GPU's buffer is pinned in RAM from import to close", () => {
    const r = rig(id, { importer: { importer: "static" } });
    const { bo, buf } = r.bo(1);
    const seat = r.run(seated(r.gpu, buf));
    expect(seat.bo.runs).not.toEqual([]);
    expect(r.run(does(r.gpu, seat, write(3), read()))[1]).toEqual({ kind: "done", bytes: bytes(3) });
    expect(bo.place?.domain).toBe("gtt");
    expect(refusal(() => r.run(r.exporter.move(bo, "vram")))).toBe("EBUSY@map");
    r.run(leave(r.gpu, seat));
    expect(bo.pinCount).toBe(0);
  });
});

describe("as posted", () => {
  it("S66a, S37c: with vfio's two waits, a job that lists the buffer ends first; its entries are still there", () => {
    expect(writeAcrossRevoke(rig("linux-7.3", POSTED), true)).toBe("before");
    const r = rig("dma-address", { ...POSTED, vfio: { asPosted: true } });
    expect(writeAcrossRevoke(r, true)).toBe("STALE");
  });

  it("S66b: a job that does not list it writes to the old address: the flush's fence is on the root", () => {
    expect(writeAcrossRevoke(rig("linux-7.3", POSTED), false)).toBe("STALE");
    expect(writeAcrossRevoke(rig("dma-address", { ...POSTED, vfio: { asPosted: true } }), false)).toBe("STALE");
  });

  it("S66c: behind an IOMMU the old address is gone, and the write faults there", () => {
    const r = rig("linux-7.3", { ...POSTED, ...T2 });
    expect(writeAcrossRevoke(r, false)).toBe("fault");
    expect(r.machine.iommuFaults.records.length).toBeGreaterThan(0);
    const best = rig("linux-7.3", T2);
    expect(writeAcrossRevoke(best, false)).toBe("fault");
    expect(best.machine.iommuFaults.records).toEqual([]);
  });

  it("S46c: xe keeps what was evicted until its next validation, so the second wait has no end", () => {
    const xe = { importer: { asPosted: true, driver: "xe" } } as const;
    const idle = (r: Rig): string => {
      const seat = r.run(seated(r.gpu, r.bar(1)));
      r.run(does(r.gpu, seat, write(1)));
      r.scheduler.spawn("vmm", r.vfio.setMemoryEnabled(false));
      return r.scheduler.run().kind;
    };
    expect(idle(rig("linux-7.3", xe))).toBe("deadlock");
    expect(idle(rig("linux-7.3"))).toBe("done");
    expect(idle(rig("dma-address", xe))).toBe("done");
  });

  it("xe: the next validation ends it, and a close", () => {
    const r = rig("linux-7.3", { importer: { asPosted: true, driver: "xe" } });
    const before = r.counts();
    const { bo, buf } = r.bo(1);
    const seat = r.run(seated(r.gpu, buf));
    r.run(does(r.gpu, seat, write(1)));
    r.run(r.exporter.move(bo, bo.place?.domain === "gtt" ? "vram" : "gtt"));
    expect(seat.vm.reaches(VA)).not.toBeNull();
    expect(r.run(does(r.gpu, seat, read()))[0]).toEqual({ kind: "done", bytes: bytes(1) });
    r.run(r.exporter.move(bo, bo.place?.domain === "gtt" ? "vram" : "gtt"));
    r.run(leave(r.gpu, seat));
    r.exporter.close(bo);
    r.run(r.fw.put(buf));
    expect(r.counts()).toEqual(before);
    expect(r.fw.findings).toEqual([]);
  });
});
