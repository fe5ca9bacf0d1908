/** Cells about VRAM, about the life of a buffer and of a registration, by their ids: what the bytes and the ledgers say. */
import { addr, DmaBufError } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, PAGE, Rig, type RigOptions, SERVING } from "./testing/rig.js";
import type { VariantId } from "./testing/variants.js";

const BAR_GONE = 0xee;

describe("VRAM", () => {
  it.each(SERVING)("%s: static and pinned stay in RAM or VRAM, and reach it (S40b)", (id) => {
    for (const kind of ["static", "pinned", "pinned-revocable"] as const) {
      const r = new Rig(id);
      const { bo, buf } = r.vram(r.gpu());
      const mr = r.reg(buf, { kind });
      expect(r.write({ key: mr.rkey, iova: PAGE }, 4).kind).toBe("done");
      const physical = mr.reaches(PAGE) as number;
      expect([r.byte(physical), bo.sizeBytes]).toEqual([4, 2 * PAGE]);
      const before = r.fw.ledger.pins;
      r.run(r.rdma.deregMr(mr));
      expect([r.fw.ledger.pins, before > 0]).toEqual([
        0,
        kind === "pinned" || (id === "linux-7.3" && kind !== "static") || before > 0,
      ]);
    }
  });

  it.each<[VariantId, string]>([
    ["dma-address", "STALE"],
    ["pfn", "STALE"],
    ["linux-7.3", "STALE"],
  ])("%s: pinned VRAM that is taken away: %s (S39b)", (id, verdict) => {
    const r = new Rig(id, { gpu: { asPosted: true, losesMemory: true } });
    const gpu = r.gpu();
    const { bo, buf } = r.vram(gpu);
    const mr = r.reg(buf, { kind: "pinned" });
    const physical = mr.reaches(0) as number;
    r.scheduler.spawn("GPU", gpu.lose(bo));
    r.scheduler.run();
    r.machine.memory.write(addr(physical), Uint8Array.of(BAR_GONE));
    r.write({ key: mr.rkey, iova: 0 }, 4);
    expect(r.byte(physical) === 4 ? "STALE" : "stopped").toBe(verdict);
  });

  it("linux-7.3, where a careful GPU may lose it: refused at attach (S39b)", () => {
    const r = new Rig("linux-7.3", { gpu: { losesMemory: true } });
    expect(r.answer(r.regOp(r.vram(r.gpu()).buf, { kind: "pinned" }))).toBe("EOPNOTSUPP@attach");
  });
});

describe("the life of a buffer", () => {
  it.each(SERVING)("%s: revoked between attach and map: ENODEV (S42a)", (id) => {
    const r = new Rig(id);
    const vfio = r.vfio();
    const mr = r.reg(r.bar(vfio), { prefetch: false });
    r.run(vfio.revoke());
    expect(r.answer(r.rdma.prefetch(mr))).toBe(id.startsWith("pfn") ? "ENODEV@query" : "ENODEV@map");
  });

  it.each(SERVING)("%s: a reset by the guest, then the next access maps again (S44b)", (id) => {
    const r = new Rig(id);
    const vfio = r.vfio();
    const mr = r.reg(r.bar(vfio));
    r.run(vfio.functionLevelReset());
    expect([mr.state, r.write({ key: mr.rkey, iova: 0 }, 3).kind, r.byte(BAR)]).toEqual(["unmapped", "done", 3]);
  });

  it.each(SERVING)("%s: the device is closed: zapped, then ENODEV (S47d)", (id) => {
    const r = new Rig(id);
    const vfio = r.vfio();
    const mr = r.reg(r.bar(vfio));
    r.run(vfio.close());
    const result = r.write({ key: mr.rkey, iova: 0 }, 3);
    expect(result).toMatchObject({ kind: "protection-error", cause: { code: "ENODEV" } });
    expect(r.byte(BAR)).toBe(0);
  });

  it.each(SERVING)("%s: the fd is closed while it is mapped: the reference is the region's own (S50)", (id) => {
    const r = new Rig(id);
    const vfio = r.vfio();
    const buf = r.bar(vfio);
    const mr = r.reg(buf);
    r.run(r.fw.put(buf));
    expect([buf.refs, r.write({ key: mr.rkey, iova: 0 }, 3).kind, r.byte(BAR)]).toEqual([1, "done", 3]);
    r.run(r.rdma.deregMr(mr));
    expect([buf.refs, r.fw.ledger.buffers]).toEqual([0, 0]);
  });

  it.each<[VariantId, string]>([
    ["dma-address", "RESLEAK"],
    ["pfn", "RESLEAK of its own"],
    ["pfn-locked", "RESLEAK of its own"],
    ["linux-7.3", "HANG"],
  ])("%s: deregistered without an unmap: %s (S51)", (id, verdict) => {
    const r = new Rig(id, {
      base: "T2",
      allowlisted: true,
      machine: { iommu: "translated" },
      rdma: { guards: { unmap: false } },
    });
    const vfio = r.vfio();
    const buf = r.bar(vfio);
    r.run(r.rdma.deregMr(r.reg(buf)));
    const complaints = r.fw.findings.length;
    r.scheduler.spawn("vmm", vfio.revoke());
    const hangs = r.scheduler.run().kind !== "done";
    const left = (r.counts() as { dmaMappings: number }).dmaMappings > 0;
    expect(hangs ? "HANG" : left ? `RESLEAK${complaints > 0 ? "" : " of its own"}` : "nothing").toBe(verdict);
  });
});

describe("a device that goes on after it was deregistered (S69c, S69d)", () => {
  const late = (id: VariantId, options: RigOptions): string => {
    const r = new Rig(id, options);
    const { buf } = r.udmabuf(1);
    const mr = r.reg(buf, { kind: "static" });
    r.write({ key: mr.rkey, iova: 0 }, 1);
    r.run(r.rdma.deregMr(mr));
    r.run(r.fw.put(buf));
    const { kind } = r.write({ key: mr.rkey, iova: 0 }, 2);
    return kind === "done" ? "STALE" : "FAULT";
  };
  const behind = { base: "T2", machine: { iommu: "translated" } } as const;

  it.each<[VariantId, string]>([
    ["dma-address", "FAULT"],
    ["linux-7.3", "FAULT"],
    ["annotated-address", "FAULT"],
  ])("%s: who mapped takes it away: %s behind an IOMMU, STALE without", (id, verdict) => {
    expect(late(id, { ...behind, rdma: { guards: { key: false } } })).toBe(verdict);
    expect(late(id, { rdma: { guards: { key: false } } })).toBe("STALE");
  });

  it("finds nobody who serves a page fault", () => {
    const r = new Rig("linux-7.3", { rdma: { guards: { key: false } } });
    const mr = r.reg(r.udmabuf(1).buf, { prefetch: false });
    r.run(r.rdma.deregMr(mr));
    const { reason } = r.write({ key: mr.rkey, iova: 0 }, 1) as { readonly reason?: string };
    expect([reason, r.rdma.costs.pageFaults]).toEqual([expect.stringMatching(/nobody who makes one/), 0]);
  });

  it.each<VariantId>(["pfn", "pfn-locked"])("%s: its own mapping, which no contract asks it to end: STALE", (id) => {
    expect(late(id, { ...behind, rdma: { guards: { key: false, unmap: false } } })).toBe("STALE");
  });
});

it("refusals are errors of the project", () => {
  const r = new Rig("vma");
  expect(() => r.reg(r.bar(r.vfio()))).toThrow(DmaBufError);
});
