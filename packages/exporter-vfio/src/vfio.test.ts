import { refusal } from "@dma-buf/config/refusal";
import { addr, dmaAddress, Framework, type Op, type P2pVerdict, pfn, Scheduler } from "@dma-buf/core";
import { checkPlugin } from "@dma-buf/conformance";
import { describe, expect, it } from "vitest";
import * as dmaAddressVariant from "./dma-address.js";
import type { VfioHost } from "./host.js";
import * as pfnVariant from "./pfn.js";
import type { DmaRange } from "./validate.js";

const PAGE = 4096;
const BASE = 0x40_0000_0000;

function host(verdict: Partial<P2pVerdict> = {}, busOffsetBytes = 0) {
  const state = { memoryEnabled: true };
  const of: VfioHost = {
    name: "0000:01:00.0",
    region: (i) => (i === 0 ? { physical: addr(BASE), sizeBytes: 16 * PAGE } : null),
    provider: () => ({
      busOffsetBytes,
      verdict: () => ({ mapType: "bus-address", distance: 4, reason: "", ...verdict }),
    }),
    get memoryEnabled() {
      return state.memoryEnabled;
    },
    setMemoryEnabled: (on) => void (state.memoryEnabled = on),
  };
  return of;
}

const device = (spaces: string[] = []) =>
  ({
    name: "nic",
    spaces: spaces.map((kind) => ({ kind })),
    dma: { mapPhys: (p: number) => p, unmapPhys() {} },
  }) as never;
const importer = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings() {} } };

function kit(variant: typeof pfnVariant | typeof dmaAddressVariant, of = host()) {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: variant === pfnVariant ? pfn : dmaAddress, scheduler });
  const exporter = variant.vfioExporter()(fw, of);
  return { fw, exporter, complete: <T>(op: Op<T>): T => scheduler.complete("test", op) };
}

describe("export", () => {
  it.each<[string, number, DmaRange[], string, RegExp]>([
    ["one range", 0, [{ offset: 0, length: PAGE }], "ok", /./],
    [
      "overlapping ranges",
      0,
      [
        { offset: 0, length: PAGE },
        { offset: 0, length: PAGE },
      ],
      "ok",
      /./,
    ],
    ["no range", 0, [], "EINVAL@export", /at least one/],
    ["region 6", 6, [{ offset: 0, length: PAGE }], "ENODEV@export", /BAR 6/],
    ["a BAR that is not there", 1, [{ offset: 0, length: PAGE }], "ENODEV@export", /BAR 1/],
    ["empty", 0, [{ offset: 0, length: 0 }], "EINVAL@export", /length is 0/],
    ["unaligned offset", 0, [{ offset: 0x800, length: PAGE }], "EINVAL@export", /offset 2048.*4096.*align/],
    ["unaligned length", 0, [{ offset: 0, length: 100 }], "EINVAL@export", /length 100/],
    ["negative", 0, [{ offset: -PAGE, length: PAGE }], "EINVAL@export", /offset -4096/],
    ["beyond the BAR", 0, [{ offset: 8 * PAGE, length: 9 * PAGE }], "EINVAL@export", /0x10000 bytes: shorten/],
    [
      "the second is bad",
      0,
      [
        { offset: 0, length: PAGE },
        { offset: 0, length: 1 },
      ],
      "EINVAL@export",
      /length 1/,
    ],
  ])("%s", (_name, regionIndex, ranges, expected, message) => {
    const { fw, exporter } = kit(pfnVariant);
    const act = () => exporter.export({ regionIndex, ranges });
    expect(refusal(act)).toBe(expected);
    if (expected !== "ok") expect(act).toThrow(message);
    expect(fw.ledger.buffers).toBe(expected === "ok" ? 1 : 0);
  });
});

describe("pfn", () => {
  it("walks the ranges in order and gives the order that lies inside them", () => {
    const { fw, exporter, complete } = kit(pfnVariant);
    const buf = exporter.export({
      regionIndex: 0,
      ranges: [
        { offset: 4 * PAGE, length: 4 * PAGE },
        { offset: PAGE, length: PAGE },
      ],
    });
    const at = complete(fw.dynamicAttach(buf, null, importer));
    const frame = BASE / PAGE;
    expect([0, 3, 4].map((page) => complete(fw.getPfnUnlocked(at, page)))).toEqual([
      { pfn: frame + 4, maxOrder: 2 },
      { pfn: frame + 7, maxOrder: 2 },
      { pfn: frame + 1, maxOrder: 0 },
    ]);
    expect(refusal(() => complete(fw.getPfnUnlocked(at, 5)))).toBe("EINVAL@query");
  });

  it.each([
    ["no route", host({ mapType: "not-supported" }), [], "EOPNOTSUPP@attach"],
    ["a bus offset", host({}, PAGE), [], "EOPNOTSUPP@attach"],
    ["a bus address behind a translating IOMMU", host(), ["iova"], "EOPNOTSUPP@attach"],
    ["through the host bridge", host({ mapType: "through-host-bridge" }), ["iova"], "ok"],
    ["nothing odd", host(), [], "ok"],
  ])("attach with a device: %s", (_name, of, spaces, expected) => {
    const { fw, exporter, complete } = kit(pfnVariant, of);
    const buf = exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] });
    expect(refusal(() => complete(fw.dynamicAttach(buf, device(spaces), importer)))).toBe(expected);
  });
});

describe("dma-address", () => {
  it.each([
    ["bus address", host({}, 2 * PAGE), BASE - 2 * PAGE],
    ["through the host bridge", host({ mapType: "through-host-bridge" }, 2 * PAGE), BASE],
  ])("%s", (_name, of, expected) => {
    const { fw, exporter, complete } = kit(dmaAddressVariant, of);
    const buf = exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] });
    const at = complete(fw.dynamicAttach(buf, device(), importer));
    const { runs } = complete(fw.mapAttachmentUnlocked(at, "bidirectional"));
    expect(Array.from(runs, (r) => r.address)).toEqual([expected]);
  });
});

describe("revoke", () => {
  it.each([pfnVariant, dmaAddressVariant])(
    "is idempotent, refuses until restored, and is how a buffer is born with decode off",
    (variant) => {
      const { fw, exporter, complete } = kit(variant);
      let called = 0;
      const counting = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings: () => void called++ } };
      const buf = exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] });
      const at = complete(fw.dynamicAttach(buf, device(), counting));
      const ask = (): unknown =>
        variant === pfnVariant
          ? complete(fw.getPfnUnlocked(at, 0))
          : complete(fw.mapAttachmentUnlocked(at, "to-device"));
      complete(exporter.revoke());
      complete(exporter.revoke());
      expect([called, refusal(ask)]).toEqual([1, variant === pfnVariant ? "ENODEV@query" : "ENODEV@map"]);
      expect(refusal(() => complete(fw.dynamicAttach(buf, device(), counting)))).toBe("ENODEV@attach");
      complete(exporter.restore());
      expect([called, refusal(ask)]).toEqual([2, "ok"]);
      complete(exporter.setMemoryEnabled(false));
      const born = exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] });
      expect(refusal(() => complete(fw.dynamicAttach(born, device(), counting)))).toBe("ENODEV@attach");
    },
  );
});

it.each([pfnVariant, dmaAddressVariant])("comes in through the door", (variant) => {
  expect(checkPlugin(variant, "vfio").kind).toBe("exporter");
  expect(() => checkPlugin({ dmaBufPlugin: { ...variant.dmaBufPlugin, schemaVersion: 2 } }, "x")).toThrow(
    /schemaVersion must be 1, is 2/,
  );
  expect(() => checkPlugin({}, "x")).toThrow(/an object exported under that name/);
});
