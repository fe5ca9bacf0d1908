import { addr, type BusAddr, type P2pMapType, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { iommuGroups } from "./iommu-group.js";
import { peerBar, peerPaths } from "./p2p-path.js";
import { type RouteOptions, route, routeFromRoot } from "./route.js";
import { acs, bar, fn, host, port, root, switched } from "./testing.js";
import type { Topology } from "./topology.js";

const MIB = 2 ** 20;
const NIC = "0000:04:00.0";
const GPU_BAR = 64 * MIB;
const IOVA = 2 ** 40;
const end = (t: Topology, address: number, options?: RouteOptions, from = NIC) =>
  route(t, t.get(from), addr<BusAddr>(address), options).end;

describe("the worked cases: a NIC reads a GPU's BAR below one switch", () => {
  it("R1: bus address, no redirect: sideways", () => {
    const t = switched();
    const found = route(t, t.get(NIC), addr<BusAddr>(GPU_BAR));
    expect(found.end).toMatchObject({ kind: "function", fn: { address: "0000:03:00.0" } });
    expect(found.hops.map((h) => h.at)).toEqual(["0000:02:01.0", "0000:03:00.0"]);
  });

  it("R3: an IOVA is in no window and goes up", () =>
    expect(end(switched({ acs: acs("ReqRedir", "UpstreamFwd") }), IOVA).kind).toBe("root-complex"));

  it("R4: redirect, CPU address: at the root port it needs UpstreamFwd", () => {
    expect(end(switched({ acs: acs("ReqRedir") }), GPU_BAR)).toMatchObject({
      kind: "unsupported-request",
      at: "0000:00:01.0",
    });
    const up = switched({ acs: acs("ReqRedir") }, {}, { acs: acs("UpstreamFwd") });
    expect(end(up, GPU_BAR).kind).toBe("root-complex");
  });

  it("R5: a translated request takes the direct path with DirectTrans, and only it", () => {
    const t = switched({ acs: acs("ReqRedir", "DirectTrans") }, {}, { acs: acs("UpstreamFwd") });
    expect(end(t, GPU_BAR, { translated: true }).kind).toBe("function");
    expect(end(t, GPU_BAR).kind).toBe("root-complex");
  });

  it("R6: TransBlk stops a translated request as an ACS violation", () => {
    const t = switched({ acs: acs("TransBlk") });
    expect(end(t, GPU_BAR, { translated: true })).toMatchObject({ kind: "completer-abort", at: "0000:02:01.0" });
    expect(end(t, GPU_BAR).kind).toBe("function");
  });

  it("R7: with a bus offset the CPU's number is in no window", () => {
    const t = switched({}, { hostBridges: [root(0, "not-listed", 16 * MIB)] });
    expect(end(t, GPU_BAR - 16 * MIB).kind).toBe("function");
    // What the CPU calls the GPU's BAR is the NIC's own port on this bus.
    expect(end(t, GPU_BAR)).toMatchObject({ kind: "unsupported-request", at: "0000:02:01.0" });
  });

  it("R8: inside a multi-function device, unless the requester redirects", () => {
    const two = (own: Parameters<typeof acs>) =>
      host([
        port("0000:00:01.0", "root-port", [1, 1], [64 * MIB, 16 * MIB]),
        fn("0000:01:00.0", "endpoint", { bars: [bar(64 * MIB)], multiFunction: true }),
        fn("0000:01:00.1", "endpoint", { bars: [bar(65 * MIB)], multiFunction: true, acs: acs(...own) }),
      ]);
    expect(end(two([]), 64 * MIB, {}, "0000:01:00.1")).toMatchObject({
      kind: "function",
      fn: { address: "0000:01:00.0" },
    });
    expect(end(two(["ReqRedir"]), 64 * MIB, {}, "0000:01:00.1")).toMatchObject({
      kind: "unsupported-request",
      at: "0000:00:01.0",
    });
    expect(end(two(["ReqRedir"]), IOVA, {}, "0000:01:00.1").kind).toBe("root-complex");
  });
});

describe("ports that do not forward", () => {
  it("upstream without Bus Master Enable", () =>
    expect(end(switched({ busMaster: false }), IOVA)).toMatchObject({
      kind: "unsupported-request",
      at: "0000:02:01.0",
    }));
  it("down without Memory Space Enable", () =>
    expect(end(switched({ memoryEnabled: false }), GPU_BAR)).toMatchObject({
      kind: "unsupported-request",
      at: "0000:02:00.0",
    }));
  it("nothing leaves a function that may not master the bus", () => {
    const t = switched();
    const quiet = host(t.functions.map((f) => (f.address === NIC ? { ...f, busMaster: false } : f)));
    expect(end(quiet, GPU_BAR)).toMatchObject({ kind: "unsupported-request", at: NIC });
    expect(end(quiet, GPU_BAR, { busMaster: true }).kind).toBe("function");
  });
});

describe("what the hardware does, apart from policy", () => {
  const paths = (t: Topology, ...allowed: P2pMapType[]) => {
    const gpu = t.get("0000:03:00.0");
    return peerPaths(t, gpu, peerBar(gpu) as never, t.get(NIC), allowed);
  };
  it("below a switch the registers say yes", () =>
    expect(paths(switched({}, { iommu: "on" }), "bus-address")).toMatchObject([
      { carries: "bus address", arrives: true },
    ]));
  it("through the root complex it is unknown, with the way down and how to know", () => {
    const [direct, translated] = paths(switched({ acs: acs("ReqRedir") }, { iommu: "on" }), "not-supported");
    expect(direct).toMatchObject({ arrives: false, because: expect.stringContaining("UpstreamFwd is off") });
    expect(translated).toMatchObject({
      carries: "IOVA",
      arrives: "unknown",
      toKnow: expect.stringContaining("no register says"),
    });
    expect(translated?.hops.map((h) => h.at)).toEqual([
      "0000:02:01.0",
      "0000:01:00.0",
      "0000:00:01.0",
      "IOMMU",
      "0000:01:00.0",
      "0000:02:00.0",
      "0000:03:00.0",
    ]);
  });
  const DMA = new Map([[7, "DMA-FQ"]]);
  const IDENTITY = new Map([[7, "identity"]]);
  it.each([
    ["through-host-bridge", "on", DMA, ["IOVA"]],
    ["through-host-bridge", "on", IDENTITY, ["CPU address"]],
    ["through-host-bridge", "on", new Map(), ["CPU address", "IOVA"]],
    ["through-host-bridge", "off", new Map(), ["CPU address"]],
    ["through-host-bridge", "unknown", DMA, ["CPU address", "IOVA"]],
    ["not-supported", "off", new Map(), ["CPU address"]],
    ["bus-address", "on", DMA, ["bus address"]],
  ] as const)("%s with the IOMMU %s, %j: %j", (mapType, iommu, domainTypes, carries) => {
    const { functions } = switched();
    const t = host(
      functions.map((f) => ({ ...f, iommuGroup: 7 })),
      { iommu, domainTypes },
    );
    expect(paths(t, mapType).map((p) => p.carries)).toEqual(carries);
  });
  it("with a bus offset, the CPU's address means another place", () => {
    const up = { acs: acs("ReqRedir", "UpstreamFwd") };
    const t = switched(up, { iommu: "off", hostBridges: [root(0, "listed", 2 ** 32)] }, up);
    expect(paths(t, "through-host-bridge")).toMatchObject([{ carries: "CPU address", arrives: false }]);
  });
  it("a provider at rest answers once its driver turns memory decode on", () => {
    const { functions } = switched();
    const t = host(functions.map((f) => (f.address === "0000:03:00.0" ? { ...f, memoryEnabled: false } : f)));
    expect(paths(t, "bus-address")[0]?.because).toMatch(/sideways, once a driver turns on memory decode/);
  });
  it("inside one device it is the device's secret", () => {
    const { functions } = switched();
    const twin = fn("0000:03:00.1", "endpoint", { multiFunction: true });
    const t = host([...functions, twin]);
    const gpu = t.get("0000:03:00.0");
    expect(peerPaths(t, gpu, peerBar(gpu) as never, t.get("0000:03:00.1"), ["bus-address"])).toMatchObject([
      { arrives: "unknown", because: "the device would have to route between its own functions" },
    ]);
  });
  it("an egress vector is in no capture", () =>
    expect(paths(switched({ acs: acs("EgressCtrl") }), "bus-address")[0]).toMatchObject({
      arrives: "unknown",
      because: expect.stringContaining("EgressCtrl"),
    }));
  it("an endpoint's own unknown ACS is not its ports'", () => {
    const { functions } = switched();
    const t = host(functions.map((f) => (f.address === NIC ? { ...f, acs: "unknown" } : f)));
    expect(paths(t, "bus-address")[0]?.arrives).toBe(true);
  });
  it("what a PF holds for its VFs is nobody's target but theirs", () => {
    const pf = fn("0000:01:00.0", "endpoint", { bars: [bar(64 * MIB, 8 * MIB, 7), bar(80 * MIB, 4096, 0)] });
    expect(peerBar(pf)?.index).toBe(0);
    const vf = fn("0000:01:00.1", "endpoint", { bars: [bar(64 * MIB)], physfn: "0000:01:00.0" });
    const t = host([
      port("0000:00:01.0", "root-port", [1, 1], [64 * MIB, 32 * MIB]),
      pf,
      vf,
      fn("0000:01:01.0", "endpoint"),
    ]);
    expect(routeFromRoot(t, t.hostBridges[0] as never, addr<PhysAddr>(64 * MIB)).end).toMatchObject({ fn: vf });
  });
  it("on a conventional bus whoever has the address claims it", () => {
    const t = host([
      port("0000:00:1e.0", "pci-bridge", [5, 5], [64 * MIB, 32 * MIB]),
      fn("0000:05:01.0", "endpoint", { bars: [bar(64 * MIB)] }),
      fn("0000:05:02.0", "endpoint"),
    ]);
    expect(end(t, 64 * MIB, {}, "0000:05:02.0")).toMatchObject({ kind: "function", fn: { address: "0000:05:01.0" } });
    expect(end(t, IOVA, {}, "0000:05:02.0").kind).toBe("root-complex");
  });
  it("an I/O window takes no memory request, and a bridge that nobody configured leads nowhere", () => {
    const io = { kind: "io", base: addr<PhysAddr>(GPU_BAR), sizeBytes: 2 ** 20 } as const;
    const t = host([
      fn("0000:00:01.0", "root-port", { bridge: { primary: 0, secondary: 0, subordinate: 0, windows: [io] } }),
      fn("0000:00:02.0", "integrated"),
    ]);
    expect(t.childrenOf(t.get("0000:00:01.0"))).toEqual([]);
    expect(t.parentOf(t.get("0000:00:02.0"))).toBeNull();
    expect(routeFromRoot(t, t.hostBridges[0] as never, addr<PhysAddr>(GPU_BAR)).end).toMatchObject({
      at: "the host bridge of 0000:00",
    });
  });
  it("a client at rest will master the bus when its driver begins", () => {
    const t = switched({}, { iommu: "off" });
    const quiet = host(t.functions.map((f) => (f.address === NIC ? { ...f, busMaster: false } : f)));
    expect(paths(quiet, "bus-address")).toMatchObject([{ arrives: true }]);
  });
  it("ports whose ACS is unknown make it unknown", () =>
    expect(paths(switched({ acs: "unknown" }), "not-supported", "bus-address")[0]).toMatchObject({
      arrives: "unknown",
      because: "ACS of 0000:02:01.0 is unknown",
    }));
});

describe("IOMMU groups by the kernel's rule", () => {
  const isolated = { acs: acs("SrcValid", "ReqRedir", "CmpltRedir", "UpstreamFwd") };
  const groups = (t: Topology) => iommuGroups(t).map((g) => g.map((f) => f.address.slice(5)).join(" "));

  it("ports with all four bits: everybody alone", () =>
    expect(groups(switched(isolated, {}, isolated))).toHaveLength(6));
  // Two peers that the switch lets talk, and yet in two groups: the kernel asks the ports above each, not each other's.
  it("switch ports without: each shares with what is below it", () =>
    expect(groups(switched({}, {}, isolated))).toEqual(["00:01.0", "01:00.0", "02:00.0 03:00.0", "02:01.0 04:00.0"]));
  it("a root port without: its whole tree", () => expect(groups(switched())).toHaveLength(1));
  it("a bit that the capability lacks counts as wired on", () => {
    const partly = {
      acs: {
        capability: { ...(isolated.acs as { capability: object }).capability, UpstreamFwd: false },
        control: { ...(isolated.acs as { control: object }).control, UpstreamFwd: false },
      } as never,
    };
    expect(groups(switched(partly, {}, isolated))).toHaveLength(6);
  });
  it("functions of one device without ACS share, VFs do not", () => {
    const device = (n: number, more = {}) => fn(`0000:01:00.${n}`, "endpoint", { multiFunction: true, ...more });
    const t = host([
      port("0000:00:01.0", "root-port", [1, 1], [0, 1], isolated),
      device(0),
      device(1),
      device(2, { physfn: "0000:01:00.0" }),
      device(3, isolated),
    ]);
    expect(groups(t)).toEqual(["00:01.0", "01:00.0 01:00.1", "01:00.2", "01:00.3"]);
  });
  it("behind a conventional bridge all have its address", () => {
    const t = host([
      port("0000:00:01.0", "root-port", [1, 2], [0, 1], isolated),
      port("0000:01:00.0", "pci-bridge", [2, 2], [0, 1]),
      fn("0000:02:01.0", "unknown"),
      fn("0000:02:02.0", "unknown"),
    ]);
    expect(groups(t)).toEqual(["00:01.0", "01:00.0 02:01.0 02:02.0"]);
  });
});

describe("what no host is", () => {
  const build =
    (...functions: Parameters<typeof host>[0]) =>
    () =>
      host(functions);
  it("BARs that overlap", () =>
    expect(
      build(
        fn("0000:00:01.0", "integrated", { bars: [bar(GPU_BAR)] }),
        fn("0000:00:02.0", "integrated", { bars: [bar(GPU_BAR + 4096, 4096, 2)] }),
      ),
    ).toThrow(/BAR 0 of 0000:00:01\.0 .* and BAR 2 of 0000:00:02\.0 .* overlap/));
  it("bridges in a loop", () =>
    expect(
      build(port("0000:01:00.0", "root-port", [2, 2], [0, 1]), port("0000:02:00.0", "downstream-port", [1, 1], [0, 1])),
    ).toThrow(/loop: .*0000:01:00\.0/));
  it("two bridges to one bus", () =>
    expect(
      build(port("0000:00:01.0", "root-port", [2, 2], [0, 1]), port("0000:00:02.0", "root-port", [2, 2], [0, 1])),
    ).toThrow(/0000:00:01\.0 and 0000:00:02\.0 both lead to bus/));
  it("addresses beyond what a Number holds", () =>
    expect(build(fn("0000:00:01.0", "integrated", { bars: [bar(2 ** 53 - 4096, 8192)] }))).toThrow(/beyond 2\^53/));
});
