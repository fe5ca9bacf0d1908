/** Who maps page frames gives back what it mapped when the next is refused. */
import { RecordingHost } from "@dma-buf/conformance";
import { addr, type Device, type DmaBufOps, type DmaIovaState, type Pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { onePage } from "./testing/one-page.js";
import { PAGE, Rig } from "./testing/rig.js";
import { VARIANTS } from "./testing/variants.js";

it.each([true, false])("is RAM: %s: mapped as what it is, and seen by the device when that is over", (isRam) => {
  const { device } = new RecordingHost("NIC");
  const r = new Rig("pfn-locked");
  const calls: unknown[] = [];
  const tryAllocIova: Device["dma"]["tryAllocIova"] = (physical, sizeBytes) => ({
    ...(device.dma.tryAllocIova(physical, sizeBytes) as DmaIovaState),
    link: (...given) => void calls.push(["link", ...given]),
    sync: (...given) => void calls.push(["sync", ...given]),
  });
  const functions = [{ ...device, dma: { ...device.dma, tryAllocIova } }];
  const rdma = VARIANTS["pfn-locked"].rdma()(r.fw, { functions, memory: { isRam: () => isRam } });
  const ops = onePage(r, "pfn-locked", () => 0x1_0000);
  const buf = r.fw.export({ exporterName: "one frame", ops, sizeBytes: PAGE, priv: {} });
  r.run(rdma.regMr({ buf, kind: "on-demand", offset: 0, sizeBytes: PAGE }));
  expect(calls).toEqual([
    ["link", 0, 0x1_0000, PAGE, "bidirectional", { mmio: !isRam }],
    ["sync", 0, PAGE],
  ]);
});

/** A device whose IOMMU does `sync` when what was linked is to be seen. */
function syncing(device: Device, sync: () => void): Device {
  const tryAllocIova: Device["dma"]["tryAllocIova"] = (physical, sizeBytes) => {
    const state = device.dma.tryAllocIova(physical, sizeBytes);
    return state && { ...state, sync };
  };
  return { ...device, dma: { ...device.dma, tryAllocIova } };
}

describe.each(["pfn", "pfn-locked"] as const)("%s: of two ranges the second cannot be mapped: ENOMEM at map", (id) => {
  it.each([["dma_iova_link"], ["dma_iova_sync"], ["dma_map_phys"]])("%s", (call) => {
    const r = new Rig(id);
    let left = 2;
    const mapFails = (op: string): boolean =>
      (op === "dma_iova_try_alloc" && call === "dma_map_phys") || (op === call && --left === 0);
    const host = new RecordingHost("NIC", { mapFails });
    const device = syncing(host.device, () => {
      if (mapFails("dma_iova_sync")) throw r.fw.error("ENOMEM", "mapAttachment", "told to fail");
    });
    const rdma = VARIANTS[id].rdma()(r.fw, { functions: [device], memory: r.machine.memory });
    const ops: DmaBufOps = {
      getPfn: (_at, pgoff) => ({ pfn: addr<Pfn>(0x100 + 2 * pgoff), maxOrder: 0 }),
      pin() {},
      unpin() {},
      release() {},
    };
    const buf = r.fw.export({ exporterName: "two frames", ops, sizeBytes: 2 * PAGE, priv: {} });
    const reg = () => rdma.regMr({ buf, kind: "on-demand", offset: 0, sizeBytes: 2 * PAGE });
    expect([r.answer(reg()), host.liveMappings, rdma.ledger.memoryRegions]).toEqual(["ENOMEM@map", 0, 0]);
    // It is not for ever.
    const mr = r.run(reg());
    expect([mr.segments, host.liveMappings > 0]).toEqual([2, true]);
    r.run(rdma.deregMr(mr));
    expect(host.liveMappings).toBe(0);
  });
});
