/** On the modelled machine: bytes of a memory region travel to where the exporter's memory is, page by page. */
import { DmaFence, point, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, PAGE, Rig, SERVING, text } from "./testing/rig.js";

const PAGES = [7, 2, 3, 9];

describe.each(SERVING)("%s", (id) => {
  it.each([
    ["T1", { base: "T1", busOffsetBytes: id.startsWith("pfn") ? 0 : 0x10_0000_0000 }],
    ["T1 past a translating IOMMU", { base: "T1", machine: { iommu: id.startsWith("pfn") ? "off" : "translated" } }],
    ["T2, translated", { base: "T2", allowlisted: true, machine: { iommu: "translated" } }],
  ] as const)("a region over several segments of a BAR, cut to its bytes: %s", (_name, where) => {
    const r = new Rig(id, where);
    const vfio = r.vfio();
    const buf = r.bar(vfio, PAGES);
    const before = r.counts();
    const mr = r.reg(buf, { offset: PAGE + 100, sizeBytes: 2 * PAGE, iova: 0x7000_0000_0064 });
    // Pages 2 and 3 of the BAR lie one behind the other, and page 9 does not.
    expect([mr.segments, mr.entries, mr.pageBytes]).toEqual([
      where.base === "T2" && !id.startsWith("pfn") ? 1 : 2,
      3,
      PAGE,
    ]);
    const at = { key: mr.rkey, iova: mr.iova + PAGE - 150 };
    expect(r.write(at, 5, PAGE + 8).kind).toBe("done");
    expect(r.read(at, PAGE + 8)).toEqual({ kind: "done", bytes: text(5, PAGE + 8) });
    const bytes = (page: number, within: number): number => r.byte(BAR + page * PAGE + within);
    expect([bytes(2, PAGE - 51), bytes(2, PAGE - 50), bytes(3, 0), bytes(9, 0), bytes(7, 0)]).toEqual([0, 5, 5, 0, 0]);

    r.run(vfio.setMemoryEnabled(false));
    expect([mr.state, mr.segments, mr.reaches(PAGE + 100)]).toEqual(["unmapped", 0, null]);
    expect(r.write(at, 9)).toMatchObject({ kind: "protection-error", cause: { code: "ENODEV" } });
    r.run(vfio.setMemoryEnabled(true));
    expect([r.write(at, 6).kind, mr.state, bytes(2, PAGE - 50)]).toEqual(["done", "mapped", 6]);
    r.run(r.rdma.deregMr(mr));
    expect([mr.state, r.rdma.ledger]).toEqual(["deregistered", { memoryRegions: 0, keys: 0, segments: 0 }]);
    expect(r.write(at, 7)).toMatchObject({ kind: "protection-error", status: "REM_ACCESS_ERR" });
    expect({ ...r.counts(), iotlb: 0 }).toEqual({ ...before, iotlb: 0 });
    expect(r.fw.findings).toEqual([]);
  });

  it("VRAM that moves: the next access faults, and arrives where it is now", () => {
    const r = new Rig(id, { base: "T1" });
    const gpu = r.gpu();
    const { bo, buf } = r.vram(gpu);
    const mr = r.reg(buf);
    const at = { key: mr.rkey, iova: PAGE + 4 };
    expect(r.write(at, 3).kind).toBe("done");
    const [inVram, entries] = [mr.reaches(PAGE + 4), mr.entries];
    r.run(gpu.move(bo, "gtt"));
    // No room to come back to.
    r.vram(gpu, 16);
    expect(mr.state).toBe("unmapped");
    expect(r.read(at)).toEqual({ kind: "done", bytes: text(3) });
    expect(mr.reaches(PAGE + 4)).not.toBe(inVram);
    expect(r.rdma.costs).toMatchObject({ zaps: 1, pageFaults: 1, entriesWritten: entries + mr.entries });
    expect(r.rdma.costs.callbacks).toBeGreaterThan(0);
    r.run(r.rdma.deregMr(mr));
  });

  it("RAM, and a region that is only one byte", () => {
    const r = new Rig(id);
    const { buf } = r.udmabuf(3);
    const mr = r.reg(buf, { offset: PAGE + 9, sizeBytes: 1, kind: "static" });
    expect([r.write({ key: mr.lkey, iova: PAGE + 9, side: "local" }, 4, 1).kind, mr.entries]).toEqual(["done", 1]);
    expect(r.write({ key: mr.lkey, iova: PAGE + 9 }, 4, 2).kind).toBe("protection-error");
    r.run(r.rdma.deregMr(mr));
    expect(r.fw.findings).toEqual([]);
  });

  it("one entry for 2 MiB where iova and address agree, entries of 4 KiB where they do not", () => {
    const r = new Rig(id, { rdma: { pageSizesLog2: [12, 21] } });
    const vfio = r.vfio();
    const buf = r.run(vfio.export({ regionIndex: 0, ranges: [{ offset: 0, length: 2 ** 22 }] }));
    const large = r.reg(buf, { iova: 2 ** 32 });
    const small = r.reg(buf, { iova: 2 ** 32 + PAGE });
    expect([large.pageBytes, large.entries, small.pageBytes, small.entries]).toEqual([2 ** 21, 2, PAGE, 1024]);
    for (const mr of [large, small]) {
      expect(r.write({ key: mr.rkey, iova: mr.iova + 2 ** 21 + 77 }, mr === large ? 1 : 2).kind).toBe("done");
      expect(r.byte(BAR + 2 ** 21 + 77)).toBe(mr === large ? 1 : 2);
    }
  });

  it("what the exporter still moves is waited for: KERNEL fences, mapped already or not", () => {
    const r = new Rig(id);
    const { buf } = r.udmabuf();
    const mr = r.reg(buf, { prefetch: false });
    for (const state of ["unmapped", "mapped"]) {
      expect(mr.state).toBe(state);
      const names = { driverName: () => "exporter", timelineName: () => "move" };
      const fence = new DmaFence(r.fw.env, names, r.fw.env.allocContexts(1), 1);
      const guard = buf.resv.tryLock();
      if (!guard) throw new Error("somebody holds the reservation");
      buf.resv.reserveFences(guard, 1);
      buf.resv.addFence(guard, fence, Usage.KERNEL);
      guard[Symbol.dispose]();
      const order: string[] = [];
      r.scheduler.spawn(
        "NIC",
        (function* () {
          yield* r.rdma.prefetch(mr);
          order.push(`prefetched, ${mr.state}`);
        })(),
      );
      r.scheduler.spawn(
        "exporter",
        (function* () {
          for (let i = 0; i < 30; i++) yield* point("moving");
          order.push(`moved, ${mr.state}`);
          fence.signal();
        })(),
      );
      expect(r.scheduler.run().kind).toBe("done");
      expect(order).toEqual([`moved, ${state}`, "prefetched, mapped"]);
    }
  });
});
