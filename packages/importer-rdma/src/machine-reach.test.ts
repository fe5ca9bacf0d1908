/** Which function does the DMA, and what it does not reach. */
import { addr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, Rig, SERVING, text } from "./testing/rig.js";

describe("RAM beyond what the NIC drives (S60a)", () => {
  const HIGH = 0x5000_0000;

  it.each([
    ["pfn", 9],
    ["pfn-locked", 9],
  ] as const)("%s: the driver maps, and syncs what bounces: %i is there when the write is over", (id, value) => {
    const r = new Rig(id, { machine: { dmaMaskBits: 30 } });
    const { buf, write } = r.udmabuf(1, HIGH);
    const mr = r.reg(buf, { kind: "static" });
    expect(mr.reaches(0)).not.toBe(HIGH);
    write(0, 4);
    expect(r.read({ key: mr.rkey, iova: 0 })).toEqual({ kind: "done", bytes: text(4) });
    r.write({ key: mr.rkey, iova: 0 }, value);
    expect(r.byte(HIGH)).toBe(value);
    r.run(r.rdma.deregMr(mr));
    expect(r.machine.ledger.dmaMappings).toBe(0);
  });

  it("dma-address, as posted: STALE", () => {
    const posted = new Rig("dma-address", { machine: { dmaMaskBits: 30 }, asPosted: true });
    const mr = posted.reg(posted.udmabuf(1, HIGH).buf, { kind: "static" });
    posted.write({ key: mr.rkey, iova: 0 }, 9);
    expect(posted.byte(HIGH)).toBe(0);
  });

  it.each(["dma-address", "linux-7.3", "annotated-address"] as const)(
    "%s, conforming: the exporter refuses, EIO at map",
    (id) => {
      const r = new Rig(id, { machine: { dmaMaskBits: 30 } });
      const { buf } = r.udmabuf(1, HIGH);
      expect(r.answer(r.regOp(buf, { kind: "static" }))).toBe("EIO@map");
    },
  );
});

it("two functions: the one that attached does the DMA; requests sent by the other do not arrive", () => {
  for (const id of SERVING) {
    const where = { base: "two functions", machine: { rootComplexForwards: false } } as const;
    const r = new Rig(id, where);
    const buf = r.bar(r.vfio());
    expect(r.answer(r.regOp(buf, { dmaDevice: 0 }))).toBe("EOPNOTSUPP@attach");
    const mr = r.reg(buf, { dmaDevice: 1 });
    expect([r.write({ key: mr.rkey, iova: 0 }, 8).kind, r.byte(BAR)]).toEqual(["done", 8]);
    const wrong = new Rig(id, { ...where, rdma: { issuesFrom: 0 } });
    const wrongMr = wrong.reg(wrong.bar(wrong.vfio()), { dmaDevice: 1 });
    expect(wrong.write({ key: wrongMr.rkey, iova: 0 }, 8).kind).not.toBe("done");
    expect(wrong.byte(addr(BAR))).toBe(0);
  }
});

it.each([
  ["dma-address", "fault"],
  ["linux-7.3", "fault"],
  ["annotated-address", "EOPNOTSUPP@map"],
  ["pfn", "done"],
  ["pfn-locked", "done"],
] as const)("%s: what was told for one function, in the hands of another: %s", (id, end) => {
  const r = new Rig(id, {
    base: "T2",
    allowlisted: true,
    machine: { iommu: "translated" },
    rdma: { attachesFor: 1 },
  });
  const registering = r.regOp(r.bar(r.vfio()), { dmaDevice: 0 });
  if (end === "EOPNOTSUPP@map") return expect(r.answer(registering)).toBe(end);
  const mr = r.run(registering);
  expect(r.write({ key: mr.rkey, iova: 0 }, 8).kind).toBe(end);
});

it("pfn, as merged: it asks for a mapping, which an exporter of page frames alone has not", () => {
  const r = new Rig("pfn", { asPosted: true, rdma: { asPosted: true } });
  expect(r.answer(r.regOp(r.bar(r.vfio())))).toBe("EINVAL@map");
});
