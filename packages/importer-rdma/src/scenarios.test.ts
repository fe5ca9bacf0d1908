/** The cells of the catalogue in which a NIC's memory is revoked, by their ids: what the bytes say. */
import { addr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { MrKind } from "./request.js";
import { BAR, Rig, type RigOptions, SERVING } from "./testing/rig.js";
import type { VariantId } from "./testing/variants.js";

const BAR_GONE = 0xee;

/** A NIC that uses a BAR until it is revoked, and then tries again: what the second write came to. */
function revoked(id: VariantId, kind: MrKind, options: RigOptions = {}, again = false): string {
  const r = new Rig(id, options);
  const vfio = r.vfio();
  const buf = r.bar(vfio);
  const told = r.answer(r.regOp(buf, { kind, prefetch: false }));
  if (told !== "ok") return `REFUSED(${told})`;
  const mr = r.reg(buf, { kind });
  expect(r.write({ key: mr.rkey, iova: 0 }, 1).kind).toBe("done");
  const task = r.scheduler.spawn("vmm", vfio.revoke());
  if (r.scheduler.run().kind !== "done") return `HANG: ${task.state}`;
  r.machine.memory.write(addr(BAR), Uint8Array.of(BAR_GONE));
  if (again) r.run(vfio.restore());
  const result = r.write({ key: mr.rkey, iova: 0 }, 2);
  if (r.byte(BAR) === BAR_GONE)
    return result.kind === "protection-error" ? `stopped, ${result.cause?.code ?? "revoked"}` : result.kind;
  return again ? "OK" : "STALE";
}

describe("S37d to S37g, S39a, S40a, S46b: a BAR is revoked", () => {
  it.each(SERVING)("%s, on-demand: stopped, and told why", (id) => {
    expect(revoked(id, "on-demand")).toBe("stopped, ENODEV");
    // S41e: it faults and maps again.
    expect(revoked(id, "on-demand", {}, true)).toBe("OK");
  });

  it.each(SERVING)("%s, pinned-revocable: stopped for ever (S37f, S41d)", (id) => {
    expect(revoked(id, "pinned-revocable")).toBe("stopped, revoked");
    expect(revoked(id, "pinned-revocable", {}, true)).toBe("stopped, revoked");
  });

  it.each(SERVING)("%s, pinned-revocable: registered again, when it is back (S41d)", (id) => {
    const r = new Rig(id);
    const vfio = r.vfio();
    const buf = r.bar(vfio);
    const old = r.reg(buf, { kind: "pinned-revocable" });
    expect(r.fw.ledger.pins).toBe(id === "linux-7.3" ? 1 : 0);
    r.run(vfio.revoke());
    expect(r.fw.ledger.pins).toBe(0);
    expect(r.answer(r.regOp(buf, { kind: "pinned-revocable" }))).toMatch(/^ENODEV@/);
    r.run(vfio.restore());
    const mr = r.reg(buf, { kind: "pinned-revocable" });
    expect([r.write({ key: mr.rkey, iova: 0 }, 3).kind, r.byte(BAR), old.state]).toEqual(["done", 3, "revoked"]);
    for (const one of [old, mr]) r.run(r.rdma.deregMr(one));
    expect([r.fw.ledger.pins, r.fw.ledger.attachments, r.fw.findings]).toEqual([0, 0, []]);
  });

  it.each<[VariantId, string]>([
    ["dma-address", "EINVAL@pin"],
    ["pfn", "EINVAL@pin"],
    ["pfn-locked", "EINVAL@pin"],
    ["annotated-address", "EINVAL@pin"],
    ["linux-7.3", "EOPNOTSUPP@attach"],
  ])("%s, pinned: refused with %s (S12b, S37e, S39a)", (id, told) => {
    expect(revoked(id, "pinned")).toBe(`REFUSED(${told})`);
  });

  it.each<[VariantId, string]>([
    ["dma-address", "EINVAL@attach"],
    ["pfn", "EINVAL@attach"],
    ["linux-7.3", "EOPNOTSUPP@attach"],
  ])("%s, static: refused with %s (S37g, S40a)", (id, told) => {
    expect(revoked(id, "static")).toBe(`REFUSED(${told})`);
  });

  it.each<[VariantId, string]>([
    ["dma-address", "STALE"],
    ["pfn", "STALE"],
    ["pfn-locked", "STALE"],
    ["linux-7.3", "HANG: ended"],
  ])("%s, ignoring it: %s (S46b)", (id, verdict) => {
    expect(revoked(id, "pinned-revocable", { rdma: { guards: { zap: false } } })).toBe(verdict);
  });
});

describe("a late write, behind an IOMMU", () => {
  it.each(SERVING)("%s: a lazily flushed IOMMU, and a write that comes after the revoke (S67b)", (id) => {
    const options: RigOptions = {
      base: "T2",
      allowlisted: true,
      machine: { iommu: "translated", flush: "lazy" },
      rdma: { guards: { flush: false } },
    };
    expect(revoked(id, "on-demand", options)).toBe("fault");
  });

  it.each(SERVING)("%s: a lazily flushed IOMMU, and a write that comes after VRAM was taken away (S67a)", (id) => {
    const r = new Rig(id, {
      base: "T2",
      allowlisted: true,
      machine: { iommu: "translated", flush: "lazy" },
      rdma: { guards: { flush: false } },
    });
    const gpu = r.gpu();
    const { bo, buf } = r.vram(gpu);
    const mr = r.reg(buf);
    const at = { key: mr.rkey, iova: 0 };
    expect(r.write(at, 1).kind).toBe("done");
    r.run(gpu.move(bo, "gtt"));
    expect(r.write(at, 2).kind).toBe("fault");
  });
});
