import { readFileSync } from "node:fs";
import { addr, type BusAddr, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { t1, t2 } from "./catalogue.js";
import { parseLspci } from "./capture/lspci.js";
import { p2pVerdict } from "./p2p.js";
import { route, routeFromRoot } from "./route.js";
import { topologyOf } from "./topology.js";

const text = readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8");
const BAR = 0x40_0000_0000;
const bus = (n: number): BusAddr => addr<BusAddr>(n);

describe("a captured laptop", () => {
  const capture = parseLspci(text, "laptop");
  const topology = topologyOf(capture);

  it("has the tree: Thunderbolt below its root port", () => {
    const path = topology.pathToRoot(topology.get("0000:04:00.0")).map((f) => `${f.address.slice(5)} ${f.portType}`);
    expect(path).toEqual(["04:00.0 endpoint", "03:00.0 downstream-port", "02:00.0 upstream-port", "00:1b.0 root-port"]);
  });

  it("has ACS as it is set", () => {
    const { acs } = topology.get("0000:00:1b.0");
    expect(acs).toMatchObject({ control: { SrcValid: true, ReqRedir: true, UpstreamFwd: false, DirectTrans: false } });
  });

  it("lets the Thunderbolt functions be peers, and nothing across root ports", () => {
    const verdict = (a: string, b: string) => p2pVerdict(topology, topology.get(a), topology.get(b));
    expect(verdict("0000:04:00.0", "0000:38:00.0")).toMatchObject({ mapType: "bus-address", distance: 4 });
    expect(verdict("0000:01:00.0", "0000:6d:00.0")).toMatchObject({ mapType: "not-supported", distance: -1 });
  });
});

describe("the kernel's rule", () => {
  it.each([
    ["below one switch", t1(), "bus-address", 4],
    ["ACS redirect, not listed", t1({ acsRedirect: true }), "not-supported", -1],
    ["ACS redirect, listed", t1({ acsRedirect: true, allowlisted: true }), "through-host-bridge", 4],
    ["two root ports, not listed", t2(), "not-supported", -1],
    ["two root ports, listed", t2({ allowlisted: true }), "through-host-bridge", 4],
  ] as const)("%s", (_name, { topology, exporter, importers }, mapType, distance) => {
    const verdict = p2pVerdict(topology, topology.get(exporter), topology.get(importers[0] as string));
    expect(verdict).toMatchObject({ mapType, distance });
    expect(verdict.reason).toMatch(/ACS|list|root ports/);
  });
});

describe("routing", () => {
  const go = ({ topology, importers }: ReturnType<typeof t1>, address: number) =>
    route(topology, topology.get(importers[0] as string), bus(address));
  it("sideways below a switch without redirect", () =>
    expect(go(t1(), BAR + 16).end).toMatchObject({ kind: "function", offset: 16, fn: { address: "0000:03:00.0" } }));
  it("upstream with redirect", () =>
    expect(go(t1({ acsRedirect: true }), BAR).end).toMatchObject({ kind: "root-complex" }));
  it("upstream when the number is the CPU's and the bus counts from elsewhere", () =>
    expect(go(t1({ busOffsetBytes: 2 ** 37 }), BAR).end).toMatchObject({ kind: "root-complex" }));
  it("sideways when it is the bus's", () =>
    expect(go(t1({ busOffsetBytes: 2 ** 37 }), BAR - 2 ** 37).end).toMatchObject({ kind: "function" }));
  it("upstream between root ports", () => expect(go(t2(), BAR).end).toMatchObject({ kind: "root-complex" }));
  it("down from the root complex", () => {
    const { topology } = t1();
    const [bridge] = topology.hostBridges;
    expect(routeFromRoot(topology, bridge as never, addr<PhysAddr>(BAR + 5)).end).toMatchObject({
      kind: "function",
      offset: 5,
    });
    expect(routeFromRoot(topology, bridge as never, addr<PhysAddr>(0x7000)).end).toMatchObject({
      kind: "unsupported-request",
    });
  });
  it("bus and CPU numbers are each other's inverse", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 2 ** 36 }),
        fc.integer({ min: 2 ** 36, max: 2 ** 50 }),
        (busOffsetBytes, at) => {
          const { topology } = t1({ busOffsetBytes });
          const bridge = topology.hostBridges[0] as never;
          expect(topology.toPhys(bridge, topology.toBus(bridge, addr<PhysAddr>(at)))).toBe(at);
        },
      ),
    );
  });
  it("unknown functions are named with those there are", () =>
    expect(() => t1().topology.get("0000:99:00.0")).toThrow(/0000:99:00.0.*0000:03:00.0/));
});
