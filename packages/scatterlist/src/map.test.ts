import { refusal } from "@dma-buf/config/refusal";
import { RecordingHost } from "@dma-buf/conformance";
import {
  addr,
  type Device,
  DmaBufError,
  type Op,
  type P2pMapType,
  type P2pProvider,
  PAGE_SIZE,
  type PhysAddr,
  Scheduler,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { type MapOptions, mapPhysVecs, type PhysVec, SEGMENT_BYTES_MAX } from "./index.js";

const BASE = 0x40_0000_0000;
const GIB = 2 ** 30;

const run = <T>(op: Op<T>): T => new Scheduler().complete("test", op);
const vec = (offset: number, sizeBytes: number): PhysVec => ({ physical: addr<PhysAddr>(BASE + offset), sizeBytes });
const provider = (mapType: P2pMapType, busOffsetBytes = 0): P2pProvider => ({
  busOffsetBytes,
  verdict: () => ({ mapType, distance: 2, reason: "the test says so" }),
});
/** The device, without IOVAs to fill or with another mask: as without an IOMMU. */
const direct = (host: RecordingHost, maskBits = 64): Device => ({
  ...host.device,
  spaces: host.device.spaces.filter((s) => s.kind === "pci-bus"),
  dma: { ...host.device.dma, maskBits, tryAllocIova: () => null },
});
const map = (device: Device | null, vecs: readonly PhysVec[], options: Partial<MapOptions>) =>
  run(mapPhysVecs(device, vecs, "bidirectional", { provider: null, mmio: true, ...options }));
const bare = (runs: Iterable<{ offset: number; sizeBytes: number; address: number }>) =>
  Array.from(runs, ({ offset, sizeBytes, address }) => [offset, sizeBytes, address]);

describe("bus addresses", () => {
  it("are what the CPU says, less the bridge's offset; nothing is mapped, and ranges stay apart", () => {
    const host = new RecordingHost();
    const table = map(host.device, [vec(0, 8192), vec(8192, 4096)], { provider: provider("bus-address", GIB) });
    expect(bare(table.runs)).toEqual([
      [0, 8192, BASE - GIB],
      [8192, 4096, BASE - GIB + 8192],
    ]);
    expect([...table.runs][0]?.kind).toBe("dma");
    run(table.free());
    expect([host.log, host.liveMappings]).toEqual([[], 0]);
  });

  it("must be within the device's mask, to the last byte; Linux 7.3 does not look", () => {
    const host = new RecordingHost();
    const vecs = [vec(0, 4096)];
    const at = { provider: provider("bus-address", BASE - 2 ** 32 + 4096) };
    expect(bare(map(direct(host, 32), vecs, at).runs)).toEqual([[0, 4096, 2 ** 32 - 4096]]);
    const beyond = { provider: provider("bus-address", BASE - 2 ** 32 + 2048) };
    expect(() => map(direct(host, 32), vecs, beyond)).toThrow(/ENOMEM: bus address 0xfffff800 is beyond the 32-bit/);
    expect(map(direct(host, 32), vecs, { ...beyond, checkMask: false }).runs.length).toBe(1);
  });

  it("say the bus and the attributes where they are asked for", () => {
    const host = new RecordingHost();
    const attributes = { cache: "uc", snoop: false } as const;
    const { runs } = map(host.device, [vec(0, 4096)], { provider: provider("bus-address"), attributes });
    expect([...runs]).toEqual([
      { kind: "pci-bus", bridge: host, attributes, offset: 0, sizeBytes: 4096, address: BASE },
    ]);
  });
});

describe("through the host bridge", () => {
  const three = [vec(0, 4096), vec(GIB, 8192), vec(0x5000, 4096)];

  it("with a translating domain: three ranges are one run in one IOVA, in order", () => {
    const host = new RecordingHost();
    const table = map(host.device, three, { provider: provider("through-host-bridge") });
    const [one] = [...table.runs];
    expect([table.runs.length, one?.sizeBytes]).toEqual([1, 16384]);
    const leads = [0, 4096, 8192, 12288].map((at) => host.translate((one?.address ?? 0) + at));
    expect(leads).toEqual([BASE, BASE + GIB, BASE + GIB + 4096, BASE + 0x5000]);
    run(table.free());
    expect(host.liveMappings).toBe(0);
  });

  it("every range linked at the first byte, as merged: EADDRINUSE at the second, and nothing is left", () => {
    const host = new RecordingHost();
    const options = { provider: provider("through-host-bridge"), linkAt: () => 0 };
    expect(refusal(() => map(host.device, three, options))).toBe("EADDRINUSE@map");
    expect(host.liveMappings).toBe(0);
    expect(map(host.device, [vec(0, 4096)], options).runs.length).toBe(1);
  });

  it("without IOVAs: range by range by dma_map_phys(), and given back so", () => {
    const host = new RecordingHost();
    const table = map(direct(host), three, { provider: provider("through-host-bridge") });
    expect([table.runs.length, host.liveMappings]).toEqual([3, 3]);
    run(table.free());
    expect(host.liveMappings).toBe(0);
  });

  it("says the domain, or the bus where there is none", () => {
    const host = new RecordingHost();
    const attributes = { cache: "uc", snoop: false } as const;
    const options = { provider: provider("through-host-bridge"), attributes };
    expect([...map(host.device, three, options).runs][0]).toMatchObject({ kind: "iova", domain: host, attributes });
    expect([...map(direct(host), three, options).runs][0]).toMatchObject({ kind: "pci-bus", bridge: host });
  });

  it("cuts runs at the largest aligned length of 32 bits", () => {
    const big = [vec(0, SEGMENT_BYTES_MAX + PAGE_SIZE)];
    for (const device of [new RecordingHost().device, direct(new RecordingHost())])
      expect(map(device, big, { provider: provider("through-host-bridge") }).runs.length).toBe(2);
  });
});

describe("without a device", () => {
  it("the runs are the ranges, as a CPU has them, with their attributes; nothing is mapped", () => {
    const attributes = { cache: "wb", snoop: true } as const;
    const table = map(null, [vec(0, 8192), vec(GIB, 4096)], { attributes });
    expect([...table.runs]).toEqual([
      { kind: "cpu-physical", offset: 0, sizeBytes: 8192, address: BASE, attributes },
      { kind: "cpu-physical", offset: 8192, sizeBytes: 4096, address: BASE + GIB, attributes },
    ]);
    run(table.free());
  });

  it("and without attributes nothing can be said: EINVAL", () => {
    expect(refusal(() => map(null, [vec(0, 4096)], {}))).toBe("EINVAL@map");
  });
});

describe("without a provider", () => {
  it("everything goes by dma_map_phys(): RAM without a sync at unmap, and with its pages", () => {
    const host = new RecordingHost();
    const asked: unknown[] = [];
    const device: Device = {
      ...host.device,
      dma: {
        ...host.device.dma,
        mapPhys: (p, n, direction, attributes) => {
          asked.push([direction, attributes]);
          return host.device.dma.mapPhys(p, n, direction, attributes);
        },
        unmapPhys: (a, n, attributes) => {
          asked.push(attributes);
          host.device.dma.unmapPhys(a, n, attributes);
        },
      },
    };
    const table = map(device, [vec(0, 4096)], { mmio: false, pages: [], requireCoherent: true });
    run(table.free());
    const ram = { mmio: false, skipCpuSync: true, requireCoherent: true };
    expect(asked).toEqual([["bidirectional", ram], ram]);
    expect(table.pages).toEqual([]);
    expect("pages" in map(device, [vec(0, 4096)], {})).toBe(false);
  });

  it("a refusal in the middle takes back what was mapped before", () => {
    const host = new RecordingHost();
    const device = direct(host);
    let left = 2;
    const failing: Device = {
      ...device,
      dma: {
        ...device.dma,
        mapPhys: (...args) => {
          if (left-- === 0) throw new DmaBufError("ENOMEM", { op: "x", stage: "map", message: "no more" });
          return device.dma.mapPhys(...args);
        },
      },
    };
    expect(refusal(() => map(failing, [vec(0, 4096), vec(8192, 4096), vec(0, 4096)], {}))).toBe("ENOMEM@map");
    expect([host.liveMappings, host.log.length]).toEqual([0, 4]);
  });
});

it.each([
  ["no route", [vec(0, 4096)], provider("not-supported")],
  ["no range", [], null],
])("%s: EINVAL, nothing mapped", (_name, vecs, by) => {
  const host = new RecordingHost();
  expect(refusal(() => map(host.device, vecs, { provider: by }))).toBe("EINVAL@map");
  expect(host.liveMappings).toBe(0);
});

it.each(["bus-address", "through-host-bridge"] as const)(
  "%s, with attributes, for a device in no such space: EINVAL, nothing left",
  (mapType) => {
    const host = new RecordingHost();
    const nowhere: Device = { ...host.device, spaces: [] };
    const options = { provider: provider(mapType), attributes: { cache: "uc", snoop: false } } as const;
    expect(refusal(() => map(nowhere, [vec(0, 4096)], options))).toBe("EINVAL@map");
    expect(host.liveMappings).toBe(0);
  },
);
