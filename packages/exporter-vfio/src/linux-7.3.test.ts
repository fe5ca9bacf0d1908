/** The bugs of Linux 7.3.4 in making and freeing tables, and the private agreement with iommufd. */
import { addr, type Device, linux73, type Op, type PhysAddr, pfn } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import { describe, expect, it } from "vitest";
import { IOMMUFD_MAP, type IommufdMap } from "./iommufd.js";
import { vfioExporter } from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import { BAR, fakeHost, kit, PAGE, TestImporter } from "./testing.js";

const TWO = [
  { offset: 0, length: PAGE },
  { offset: 2 * PAGE, length: PAGE },
];

function attached(asPosted: boolean, verdict: "bus-address" | "through-host-bridge", ranges = TWO, device?: Device) {
  const host = Object.assign(fakeHost(), { verdict: { mapType: verdict } });
  const k = kit(vfioExporter, { options: { asPosted }, host });
  const buf = k.run(k.exporter.export({ regionIndex: 0, ranges }));
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(buf, device ?? k.peer.device));
  return { ...k, buf, importer, at, defects: () => k.fw.findings.map((f) => f.requirement) };
}

describe("several ranges through an IOMMU", () => {
  it("are one IOVA", () => {
    const k = attached(false, "through-host-bridge");
    const [run, ...more] = k.run(k.importer.map(k.at)).runs;
    expect([run?.sizeBytes, more.length]).toEqual([2 * PAGE, 0]);
    const iova = Number(run?.address);
    expect([k.peer.translate(iova), k.peer.translate(iova + PAGE)]).toEqual([BAR, BAR + 2 * PAGE]);
    k.run(k.importer.unmap(k.at));
    expect([k.counts(), k.defects()]).toEqual([expect.objectContaining({ sgTables: 0, dma: 0 }), []]);
  });

  it("as merged, cannot be mapped: all are linked at its first byte", () => {
    const k = attached(true, "through-host-bridge");
    const before = k.counts();
    expect(k.answer(k.importer.map(k.at))).toBe("EADDRINUSE@map");
    expect(k.counts()).toEqual(before);
    expect(k.defects()).toEqual(["linux-7.3/defect-iova-offset-zero"]);
  });

  it("as merged, one range is no trouble, nor are several past the IOMMU", () => {
    for (const k of [attached(true, "through-host-bridge", TWO.slice(1)), attached(true, "bus-address")]) {
      expect(k.answer(k.importer.map(k.at))).toBe("ok");
      expect(k.defects()).toEqual([]);
    }
  });
});

describe("the entry array of a table", () => {
  it.each([
    [true, 1000, ["linux-7.3/defect-entry-array-leak"]],
    [false, 0, []],
  ])("mapped and unmapped a thousand times, as merged %s: %i are left", (asPosted, left, defects) => {
    const k = attached(asPosted, "bus-address");
    for (let i = 0; i < 1000; i++) {
      k.run(k.importer.map(k.at));
      expect(k.defects().length).toBe(asPosted ? i : 0);
      k.run(k.importer.unmap(k.at));
    }
    expect(k.exporter.ledger.sgTables).toBe(left);
    expect([...new Set(k.defects())]).toEqual(defects);
    expect(k.peer.liveMappings).toBe(0);
  });
});

describe("a bus address beyond the device's mask", () => {
  const narrow = (bits: number): Device => {
    const { device } = kit(vfioExporter).peer;
    return { ...device, dma: { ...device.dma, maskBits: bits } };
  };
  it.each([
    [false, 38, "ENOMEM@map", []],
    [true, 38, "ok", ["linux-7.3/defect-no-mask-check"]],
    [true, 39, "ok", []],
    [false, 39, "ok", []],
  ])("as merged %s, %i bits: %s", (asPosted, bits, expected, defects) => {
    const k = attached(asPosted, "bus-address", TWO, narrow(bits));
    const before = k.counts();
    expect(k.answer(k.importer.map(k.at))).toBe(expected);
    if (expected !== "ok") expect(k.counts()).toEqual(before);
    expect(k.defects()).toEqual(defects);
  });

  it("is asked of the bus address, not of the CPU's", () => {
    const k = attached(true, "bus-address", TWO, narrow(38));
    k.host.busOffsetBytes = BAR;
    expect(k.answer(k.importer.map(k.at))).toBe("ok");
    expect(k.defects()).toEqual([]);
  });

  it("and not where the IOMMU stands between", () => {
    const k = attached(true, "through-host-bridge", TWO.slice(1), narrow(38));
    expect([k.answer(k.importer.map(k.at)), k.defects()]).toEqual(["ok", []]);
  });
});

describe("the private agreement with iommufd", () => {
  const ask = (k: ReturnType<typeof attached>, held = true, at = k.at): Op<PhysVec> =>
    (function* (): Op<PhysVec> {
      const hook = k.buf.ops.interfaces?.get(IOMMUFD_MAP) as IommufdMap;
      const guard = yield* at.buf.resv.lock();
      if (!held) guard[Symbol.dispose]();
      try {
        return hook(at, guard);
      } finally {
        if (held) guard[Symbol.dispose]();
      }
    })();

  it("is found by its symbol, whatever copy of the package the importer has", () => {
    expect(IOMMUFD_MAP).toBe(Symbol.for("vfio_pci_dma_buf_iommufd_map"));
  });

  it("tells the one range; no revoke waits for it", () => {
    const k = attached(false, "bus-address", TWO.slice(1));
    const before = k.counts();
    expect(k.run(ask(k))).toEqual({ physical: addr<PhysAddr>(BAR + 2 * PAGE), sizeBytes: PAGE });
    expect(k.counts()).toEqual(before);
    k.run(k.exporter.revoke());
    expect(k.importer.calls).toBe(1);
  });

  it("two ranges EOPNOTSUPP, revoked ENODEV first; the ledgers are unchanged", () => {
    const k = attached(false, "bus-address");
    const before = k.counts();
    expect(k.answer(ask(k))).toBe("EOPNOTSUPP@map");
    k.run(k.exporter.revoke());
    expect(k.answer(ask(k))).toBe("ENODEV@map");
    expect(k.counts()).toEqual(before);
  });

  it.each([
    [false, "EOPNOTSUPP@map"],
    [true, "ok"],
  ])("a device that was given to one VM meanwhile, as merged %s: %s", (asPosted, expected) => {
    const k = attached(asPosted, "bus-address", TWO.slice(1));
    k.run(k.exporter.binding.bind({}));
    const before = k.counts();
    expect(k.answer(ask(k))).toBe(expected);
    expect(k.counts()).toEqual(before);
  });

  it("another exporter's buffer: EOPNOTSUPP", () => {
    const k = attached(false, "bus-address");
    const ops = { mapDmaBuf: () => ({ runs: [] }), unmapDmaBuf() {}, release() {} };
    const foreign = k.fw.export({ exporterName: "system", ops, sizeBytes: PAGE, priv: {} });
    const at = k.run(k.importer.attach(foreign, k.peer.device));
    expect(k.answer(ask(k, true, at))).toBe("EOPNOTSUPP@map");
  });

  it("asked without the reservation is a finding of the importer's", () => {
    const k = attached(false, "bus-address", TWO.slice(1));
    k.run(ask(k, false));
    expect(k.fw.findings).toMatchObject([
      { party: "importer", level: "violation", requirement: "linux-7.3/map_dma_buf" },
    ]);
  });

  it("and so is holding another buffer's", () => {
    const k = attached(false, "bus-address", TWO.slice(1));
    const other = k.run(k.exporter.export({ regionIndex: 0, ranges: TWO }));
    const hook = k.buf.ops.interfaces?.get(IOMMUFD_MAP) as IommufdMap;
    k.run(
      (function* (): Op<void> {
        using held = yield* other.resv.lock();
        hook(k.at, held);
      })(),
    );
    expect(k.fw.findings).toMatchObject([{ party: "importer", level: "violation" }]);
  });

  it("is Linux 7.3's alone", () => {
    const k = kit(pfnVariant.vfioExporter, { contract: pfn });
    const buf = k.run(k.exporter.export({ regionIndex: 0, ranges: TWO }));
    expect(buf.ops.interfaces?.has(IOMMUFD_MAP)).toBe(false);
    expect(linux73.rows.getPfn).toBeUndefined();
  });
});
