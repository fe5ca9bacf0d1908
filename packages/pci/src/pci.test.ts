import { readFileSync } from "node:fs";
import { addr, type BusAddr, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import { t1, t2 } from "./catalogue.js";
import { parseLspci } from "./lspci.js";
import { p2pVerdict } from "./p2p.js";
import { route, routeFromRoot } from "./route.js";
import { topologyOf } from "./topology.js";

const text = readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8");
const BAR = 0x40_0000_0000;
const bus = (n: number): BusAddr => addr<BusAddr>(n);

describe("a captured laptop", () => {
  const capture = parseLspci(text, "laptop");
  const topology = topologyOf(capture);

  it("has every function of the text", () => {
    expect(capture.functions.map((f) => f.address.slice(5))).toEqual(text.match(/^[0-9a-f]{2}:[0-9a-f]{2}\.\d/gm));
  });

  it("has the GPU's BARs, and no I/O among the memory ones", () => {
    expect(
      topology.get("0000:01:00.0").bars.map((b) => [b.index, b.space, b.base, b.sizeBytes, b.bits, b.prefetchable]),
    ).toEqual([
      [0, "memory", 0x8f00_0000, 2 ** 24, 32, false],
      [1, "memory", 0x60_5000_0000, 2 ** 28, 64, true],
      [3, "memory", 0x60_6000_0000, 2 ** 25, 64, true],
      [5, "io", 0x3000, 128, 32, false],
    ]);
  });

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

  it("says what the text does not", () => expect(capture.unknown.join()).toContain("forwards peer requests"));
});

describe("captures as people send them", () => {
  it.each([
    ["CRLF", text.replaceAll("\n", "\r\n")],
    ["quoted in a mail", text.replaceAll(/^/gm, "> ").replace(/> $/, "")],
    ["with domains", text.replaceAll(/^([0-9a-f]{2}:[0-9a-f]{2}\.\d)/gm, "0000:$1")],
  ])("%s", (_name, other) => {
    expect(parseLspci(other).functions).toEqual(parseLspci(text).functions);
  });

  const header = "01:00.0 VGA compatible controller: X\n";
  it.each([
    ["EMPTY", "  \n"],
    ["BINARY", "\0\0ELF"],
    ["BINARY", "\uFFFD\uFFFDabc"],
    ["NO_FUNCTION", "hello\n"],
    [
      "NO_BAR",
      text
        .split("\n")
        .filter((l) => !l.includes("Region"))
        .join("\n"),
    ],
    ["NO_BAR", header.replace("01:00.0", "00:02.0")],
    ["TRUNCATED", text.slice(0, text.indexOf("Region 1: Memory at 6050") + 15)],
    ["TRUNCATED", `${text.slice(0, text.indexOf("Region 1: Memory at 6050") + 15)}\n`],
    ["TRUNCATED", `${header}\tRegion 0: Memory at e0000000 [size=1M]\n\tCapabilities: [40] Express (v2) Endpoint\n`],
  ])("%s", (code, bad) => {
    const parse = (): unknown => parseLspci(bad, "file.txt");
    expect(parse).toThrow(CaptureError);
    expect(parse).toThrow(/^file\.txt: .+\. .*lspci/s);
    try {
      parse();
    } catch (error) {
      expect((error as CaptureError).code).toBe(code);
    }
  });

  it("names capabilities that lspci was not allowed to read", () => {
    const denied = parseLspci(
      `${header.replace("01", "00")}\tRegion 0: Memory at e0000000 [size=1M]\n\tCapabilities: <access denied>\n`,
    );
    expect(denied.functions[0]?.acs).toBe("unknown");
    expect(denied.unknown[0]).toContain("0000:00:00.0");
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
