import { type DmaBuf, type Op, point, Scheduler, seeded, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { ALL, allQuiet, job, Nic, PAGE, refused, rig, type Rig } from "./testing/rig.js";
import type { BufferObject, BufferObjectOptions, GpuExporter, GpuOptions } from "./index.js";
import { gpuExporter } from "./linux-7.3.js";

const ID = "linux-7.3";

describe("whose driver it is", () => {
  it.each(["nouveau", "XE", "", null, 1])("%j is none: TypeError, before there is an exporter", (driver) =>
    expect(() => gpuExporter({ driver: driver as never })).toThrow(
      new TypeError(`options.driver ${driver} is none: give amdgpu or xe, or leave it out`),
    ),
  );

  it.each([undefined, "amdgpu", "xe"] as const)("%j is one", (driver) =>
    expect(() => gpuExporter({ driver } as GpuOptions)).not.toThrow(),
  );
});

describe("create", () => {
  it.each([
    ["no bytes", { sizeBytes: 0 }, /at least one page/],
    ["no whole pages", { sizeBytes: PAGE + 8 }, /4104 bytes: give/],
    ["no number", { sizeBytes: Number.NaN }, /NaN bytes/],
    ["more than a Number counts", { sizeBytes: 2 ** 60 }, /bytes: give at least one page/],
    ["negative", { sizeBytes: -PAGE }, /-4096 bytes/],
    [
      "a preferred domain that is not allowed",
      { sizeBytes: PAGE, preferred: "gtt", allowed: ["vram"] } as const,
      /gtt/,
    ],
    ["no domain preferred", { sizeBytes: PAGE, preferred: "foo" }, /foo is no domain/],
    ["nothing preferred", { sizeBytes: PAGE, preferred: null }, /null is no domain/],
    ["no domain allowed", { sizeBytes: PAGE, allowed: ["vram", "foo"] }, /foo is no domain/],
    ["no domain preferred, and that allowed", { sizeBytes: PAGE, preferred: "foo", allowed: ["foo"] }, /vram and gtt/],
    ["null for the list", { sizeBytes: PAGE, allowed: null }, /allowed is null: give a list/],
    ["a string for the list", { sizeBytes: PAGE, allowed: "vram" }, /allowed is vram: give a list/],
    ["an empty list", { sizeBytes: PAGE, allowed: [] }, /vram is preferred and not allowed/],
    ["a process's own pages in VRAM", { sizeBytes: PAGE, userptr: true, allowed: ["gtt", "vram"] }, /leave it out/],
    [
      "a process's own pages, VRAM preferred",
      { sizeBytes: PAGE, userptr: true, preferred: "vram" },
      /vram is preferred/,
    ],
  ])("%s: EINVAL@export", (_name, given, message) => {
    const r = rig(ID);
    const options = given as BufferObjectOptions;
    expect(refused(r, () => r.exporter.create(options))).toBe("EINVAL@export");
    expect(() => r.exporter.create(options)).toThrow(message);
  });

  it("goes where it is preferred, else where it is allowed, else ENOMEM@export", () => {
    const r = rig(ID, { vramPages: 4, ramPages: 4 });
    const domains = [4, 2].map((pages) => r.exporter.create({ sizeBytes: pages * PAGE }).place?.domain);
    expect(domains).toEqual(["vram", "gtt"]);
    expect(refused(r, () => r.exporter.create({ sizeBytes: 3 * PAGE }))).toBe("ENOMEM@export");
    expect(refused(r, () => r.exporter.create({ sizeBytes: PAGE, allowed: ["vram"] }))).toBe("ENOMEM@export");
    expect(r.exporter.ledger).toMatchObject({ bufferObjects: 2, vramBytes: 4 * PAGE, gttBytes: 2 * PAGE });
  });

  it("what the CPU will not look at is put at the top", () => {
    const r = rig(ID);
    const bo = r.exporter.create({ sizeBytes: PAGE, noCpuAccess: true });
    expect(bo.place?.blocks).toEqual([{ start: 15 * PAGE, sizeBytes: PAGE }]);
  });

  it.each(["amdgpu_bo_create", "ttm_resource_alloc"])("%s without memory: ENOMEM@export", (op) => {
    const r = rig(ID, { framework: { allocFails: (name) => name === op } });
    expect(refused(r, () => r.exporter.create({ sizeBytes: PAGE }))).toBe("ENOMEM@export");
  });
});

describe("export", () => {
  it.each([{ userptr: true }, { vmAlwaysValid: true }])("%j: EPERM@export", (options) => {
    const r = rig(ID);
    const bo = r.exporter.create({ sizeBytes: PAGE, ...options });
    expect(refused(r, () => r.exporter.export(bo))).toBe("EPERM@export");
  });

  it("a process's own pages are RAM, and are not pinned: EPERM@pin", () => {
    const r = rig(ID);
    const bo = r.exporter.create({ sizeBytes: PAGE, userptr: true });
    expect(bo.place?.domain).toBe("gtt");
    expect(refused(r, () => r.run(r.exporter.pin(bo)))).toBe("EPERM@pin");
  });

  it("without memory for the dma-buf: ENOMEM@export, and the buffer is as it was", () => {
    let fails = true;
    const r = rig(ID, { framework: { allocFails: (op) => fails && op === "dma_buf_export" } });
    const bo = r.exporter.create({ sizeBytes: PAGE });
    expect(refused(r, () => r.exporter.export(bo))).toBe("ENOMEM@export");
    fails = false;
    const buf = r.exporter.export(bo);
    expect(buf).toMatchObject({ exporterName: "amdgpu", sizeBytes: PAGE, flags: 2 });
  });

  it("again gives the same dma-buf, with one reference more; a new one when it is released", () => {
    const r = rig(ID);
    const bo = r.exporter.create({ sizeBytes: PAGE });
    const buf = r.exporter.export(bo);
    expect(r.exporter.export(bo)).toBe(buf);
    expect(buf.refs).toBe(2);
    for (const _ of [1, 2]) r.run(r.fw.put(buf));
    const next = r.exporter.export(bo);
    expect(next).not.toBe(buf);
    r.run(r.fw.put(next));
    expect(r.exporter.ledger.bufferObjects).toBe(1);
    r.exporter.close(bo);
    expect(r.exporter.ledger).toMatchObject({ bufferObjects: 0, vramBytes: 0 });
  });

  it("while the last reference goes, is exported anew, and the old one's release leaves the new one alone", () => {
    for (let seed = 0; seed < 50; seed++) {
      const r = rig(ID, { framework: { scheduler: new Scheduler(seeded(seed)) } });
      const bo = r.exporter.create({ sizeBytes: PAGE });
      const old = r.exporter.export(bo);
      r.scheduler.spawn("put", r.fw.put(old));
      const again = r.scheduler.spawn("export", exportLater(r, bo));
      expect(r.scheduler.run()).toEqual({ kind: "done" });
      expect([again.result?.refs, bo.buf === again.result]).toEqual([1, true]);
      expect(r.fw.findings).toEqual([]);
    }
  });

  it("closing twice: EINVAL@export; exporting what is closed: ENOENT@export", () => {
    const r = rig(ID);
    const { bo } = r.shared(1);
    expect(refused(r, () => r.exporter.close(bo))).toBe("EINVAL@export");
    expect(refused(r, () => r.exporter.export(bo))).toBe("ENOENT@export");
  });
});

describe("what this GPU did not make", () => {
  it.each<[string, string, (exporter: GpuExporter, bo: BufferObject) => Op<void> | DmaBuf | void]>([
    ["export", "ENOENT@export", (exporter, bo) => exporter.export(bo)],
    ["close", "ENOENT@export", (exporter, bo) => exporter.close(bo)],
    ["move", "ENOENT@map", (exporter, bo) => exporter.move(bo, "gtt")],
    ["evict", "ENOENT@map", (exporter, bo) => exporter.evict(bo)],
    ["pin", "ENOENT@pin", (exporter, bo) => exporter.pin(bo)],
    ["unpin", "ENOENT@pin", (exporter, bo) => exporter.unpin(bo)],
    ["lose", "ENOENT@map", (exporter, bo) => exporter.lose(bo)],
  ])("%s: %s, and neither GPU is touched", (_call, answer, call) => {
    const [r, other] = [rig(ID), rig(ID)];
    const { bo } = other.shared(1);
    const before = other.counts();
    for (const foreign of [bo, { ...bo }, {}, null] as BufferObject[]) {
      const act = (): unknown => {
        const called = call(r.exporter, foreign);
        return called && "next" in called ? r.run(called) : called;
      };
      expect(refused(r, act)).toBe(answer);
      expect(act).toThrow(/0000:.*create\(\)/);
    }
    expect([other.counts(), bo.place?.domain]).toEqual([before, "vram"]);
  });

  it("what it made stays its own when it is gone: closing again is EINVAL, moving ENODEV", () => {
    const r = rig(ID);
    const bo = r.exporter.create({ sizeBytes: PAGE });
    r.exporter.close(bo);
    expect(refused(r, () => r.exporter.close(bo))).toBe("EINVAL@export");
    expect(refused(r, () => r.run(r.exporter.evict(bo)))).toBe("ENODEV@map");
  });
});

describe("the end of a buffer", () => {
  it.each(ALL)("%s: after use and move nothing is left", (id) => {
    const r = rig(id);
    const { bo, buf } = r.shared(2);
    const nic = new Nic(r);
    r.run(nic.attach(buf));
    r.run(nic.use());
    r.run(r.exporter.evict(bo));
    r.run(nic.use());
    r.run(nic.detach());
    r.run(r.fw.put(buf));
    expect(Object.values(r.counts()).every((n) => n === 0)).toBe(true);
    expect(r.fw.findings).toEqual([]);
  });

  it("its memory goes when its fences have signalled, not before", () => {
    const r = rig(ID);
    const { bo, buf } = r.shared(1);
    const fence = job(r, bo, Usage.BOOKKEEP);
    r.scheduler.spawn("put", r.fw.put(buf));
    let used = 0;
    r.scheduler.spawn(
      "signal",
      (function* () {
        yield* allQuiet(r.scheduler);
        used = r.exporter.ledger.vramBytes;
        fence.signal();
      })(),
    );
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(used).toBe(PAGE);
    expect(r.exporter.ledger).toMatchObject({ bufferObjects: 0, vramBytes: 0 });
    // The creator's of the job.
    expect(fence.refs).toBe(1);
  });

  it("released with a pin left: a warning", () => {
    const r = rig(ID);
    const { bo, buf } = r.shared(1);
    r.run(r.exporter.pin(bo));
    r.run(r.fw.put(buf));
    expect(r.fw.findings).toMatchObject([{ level: "warn", message: "released with 1 pin(s) left" }]);
  });
});

function* exportLater(r: Rig, bo: BufferObject): Op<DmaBuf> {
  yield* point("later");
  return r.exporter.export(bo);
}
