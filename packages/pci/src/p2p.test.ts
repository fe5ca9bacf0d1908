import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NO_ACS_BITS } from "./function.js";
import { parseLspci } from "./capture/lspci.js";
import { cpuOf, listingOf } from "./host-bridge.js";
import { type KernelVersion, kernelVersion } from "./kernel-version.js";
import { p2pRuling, p2pVerdict } from "./p2p.js";
import { P2pCache } from "./p2p-cache.js";
import { p2pMatrix } from "./p2p-matrix.js";
import { acs, bar, fn, host, port, root, switched } from "./testing.js";
import { type Topology, topologyOf } from "./topology.js";

const GPU = "0000:03:00.0";
const NIC = "0000:04:00.0";
const between = (t: Topology, provider = GPU, client = NIC) => p2pVerdict(t, t.get(provider), t.get(client));
const zen = { cpu: { vendor: "AuthenticAMD", family: 0x17 } } as const;

describe("below a switch", () => {
  it("is a bus address without redirect, at distance 4", () =>
    expect(between(switched())).toMatchObject({ mapType: "bus-address", distance: 4, redirects: [], remedy: null }));

  it.each(["ReqRedir", "CmpltRedir", "EgressCtrl"] as const)("%s sends it to the host bridge, and is named", (bit) => {
    const answer = between(switched({ acs: acs(bit) }, { hostBridges: [root(0, "listed")] }));
    expect(answer).toMatchObject({ mapType: "through-host-bridge", distance: 4 });
    expect(answer.redirects).toEqual([
      { at: "0000:02:00.0", bits: [bit] },
      { at: "0000:02:01.0", bits: [bit] },
    ]);
    expect(answer.remedy).toContain("pci=disable_acs_redir=0000:02:00.0;0000:02:01.0");
  });

  it.each(["SrcValid", "TransBlk", "UpstreamFwd", "DirectTrans"] as const)("%s is not asked for", (bit) =>
    expect(between(switched({ acs: acs(bit) })).mapType).toBe("bus-address"),
  );

  it("counts the common ancestor, and nothing above it", () => {
    const above = switched({}, {}, { acs: acs("ReqRedir") });
    expect(between(above).mapType).toBe("bus-address");
    const withAncestor = above.functions.map((f) =>
      f.address === "0000:01:00.0" ? { ...f, acs: acs("ReqRedir") } : f,
    );
    expect(between(host(withAncestor)).redirects).toEqual([{ at: "0000:01:00.0", bits: ["ReqRedir"] }]);
  });

  it("asks the register, not the capability", () =>
    expect(
      between(switched({ acs: { capability: { ...NO_ACS_BITS, ReqRedir: true }, control: NO_ACS_BITS } })),
    ).toMatchObject({
      mapType: "bus-address",
    }));

  it("one function is its own peer, unless it redirects itself", () => {
    const t = switched();
    expect(between(t, GPU, GPU)).toMatchObject({ mapType: "bus-address", distance: 0 });
    const own = host(t.functions.map((f) => (f.address === GPU ? { ...f, acs: acs("ReqRedir") } : f)));
    expect(between(own, GPU, GPU).mapType).toBe("not-supported");
  });

  it("two functions of one device are at distance 2", () => {
    const t = switched();
    const pair = host([...t.functions, fn("0000:03:00.1", "endpoint")]);
    expect(between(pair, GPU, "0000:03:00.1")).toMatchObject({ mapType: "bus-address", distance: 2 });
  });
});

describe("through the host bridge", () => {
  const two = (a: ReturnType<typeof root>, b: ReturnType<typeof root>, more = {}) =>
    host([fn("0000:00:00.0", "endpoint"), fn("0000:80:00.0", "endpoint")], { hostBridges: [a, b], ...more });
  const across = (t: Topology) => between(t, "0000:00:00.0", "0000:80:00.0");

  it.each([
    ["listed", "listed", "through-host-bridge"],
    ["listed", "not-listed", "not-supported"],
    ["not-listed", "listed", "not-supported"],
    ["same-bridge-only", "same-bridge-only", "not-supported"],
    ["same-bridge-only", "listed", "not-supported"],
  ] as const)("%s and %s: %s", (a, b, mapType) => expect(across(two(root(0, a), root(0x80, b))).mapType).toBe(mapType));

  it("within one bridge, an entry for the same bridge is enough", () => {
    const t = switched({ acs: acs("ReqRedir") }, { hostBridges: [root(0, "same-bridge-only")] });
    expect(between(t).mapType).toBe("through-host-bridge");
  });

  it("an AMD CPU from family 0x17 forwards between any pair; Hygon's and older ones do not", () => {
    const cpu = (vendor: string, family: number) =>
      across(two(root(0), root(0x80), { cpu: { vendor, family } })).mapType;
    expect(cpu("AuthenticAMD", 0x17)).toBe("through-host-bridge");
    expect(cpu("AuthenticAMD", 0x1a)).toBe("through-host-bridge");
    expect(cpu("AuthenticAMD", 0x16)).toBe("not-supported");
    expect(cpu("HygonGenuine", 0x18)).toBe("not-supported");
  });

  it("names the bridge that stops it, and a way out", () => {
    const answer = across(two(root(0, "listed"), root(0x80)));
    expect(answer.reason).toContain("0000:80 is not on the kernel's list");
    expect(answer.remedy).toContain("below one switch");
  });
});

describe("VFs", () => {
  it("on a bus of their own number are where their PF is", () => {
    const t = host([
      port("0000:00:01.0", "root-port", [1, 2], [0, 2 ** 30]),
      fn("0000:01:00.0", "endpoint"),
      fn("0000:02:00.1", "endpoint", { physfn: "0000:01:00.0", bars: [bar(2 ** 20)] }),
    ]);
    const vf = t.get("0000:02:00.1");
    expect(t.parentOf(vf)?.address).toBe("0000:00:01.0");
    expect(t.childrenOf(t.get("0000:00:01.0")).map((f) => f.address)).toEqual(["0000:01:00.0", "0000:02:00.1"]);
    expect(between(t, "0000:01:00.0", "0000:02:00.1")).toMatchObject({ mapType: "bus-address", distance: 2 });
    expect(t.slotOf(vf)).toEqual([vf]);
  });
});

describe("by kernel", () => {
  it.each([
    ["4.19", "not-supported", /no peer-to-peer/],
    ["4.20", "not-supported", /trusts no host bridge/],
    ["5.8", "not-supported", /not on the kernel's list/],
    ["5.9", "through-host-bridge", /AMD CPU/],
    ["7.3", "through-host-bridge", /AMD CPU/],
  ])("Linux %s on a Zen: %s", (version, mapType, reason) => {
    const kernel = kernelVersion(version) as KernelVersion;
    const answer = between(switched({ acs: acs("ReqRedir") }, { ...zen, kernel }));
    expect(answer.mapType).toBe(mapType);
    expect(answer.reason).toMatch(reason);
  });

  const entry = (vendor: number, device: number, version: string, address = "0000:00:00.0", type = "integrated") =>
    listingOf(fn(address, type as "integrated", { vendor, device }), kernelVersion(version) as KernelVersion);
  it.each([
    [0x8086, 0x2f00, "5.3", "not-listed"],
    [0x8086, 0x2f00, "5.4", "same-bridge-only"],
    [0x8086, 0x2030, "6.1", "listed"],
    [0x8086, 0x09a2, "5.17", "not-listed"],
    [0x8086, 0x09a2, "5.18", "listed"],
    [0x8086, 0x0b25, "7.3", "listed"],
    [0x8086, 0x0b25, "6.6", "unknown"],
    [0x1ae0, 0x1234, "7.3", "listed"],
    [0x10de, 0x2f97, "7.3", "listed"],
    [0x1022, 0x1450, "5.2", "listed"],
    [0x1022, 0x1450, "5.9", "not-listed"],
    [0x8086, 0x3405, "7.3", "not-listed"],
  ])("%i:%i in %s: %s", (vendor, device, version, listing) => expect(entry(vendor, device, version)).toBe(listing));

  it.each([
    ["Intel Corporation Device 09a2 (rev 04)", "listed"],
    ["Intel Corporation Ice Lake Memory Map/VT-d", "listed"],
    ["Intel Corporation Sky Lake-E DMI3 Registers", "listed"],
    ["Intel Corporation Xeon E7 v3/Xeon E5 v3/Core i7 DMI2", "same-bridge-only"],
    ["Intel Corporation 8th Gen Core Processor Host Bridge/DRAM Registers", "not-listed"],
    ["Intel Corporation 4th Gen Core Processor DRAM Controller", "not-listed"],
    ["Intel Corporation Something new", "unknown"],
  ])("without ids, by the database's name: %s, %s", (name, listing) =>
    expect(listingOf(fn("0000:00:00.0", "integrated", { name }), [7, 3])).toBe(listing),
  );
  it("a root is known by its first function, if that is 00.0 or a root port", () => {
    expect(entry(0x8086, 0x2031, "7.3", "0000:16:02.0", "root-port")).toBe("listed");
    expect(entry(0x8086, 0x2031, "5.15", "0000:16:02.0", "root-port")).toBe("not-listed");
    expect(entry(0x8086, 0x2031, "7.3", "0000:16:02.0", "integrated")).toBe("not-listed");
  });

  it.each([
    ["6.8.0-45-generic", [6, 8]],
    ["2.6.32.59-0.7-default", [2, 6]],
    ["5.10-rc3", [5, 10]],
    ["v7.3", [7, 3]],
    ["", null],
    ["Darwin", null],
  ])("%s", (text, version) => expect(kernelVersion(text)).toEqual(version));
});

describe("what is unknown", () => {
  const ruling = (t: Topology) => p2pRuling(t, t.get(GPU), t.get(NIC));

  it("is asked for only where the answer hangs on it", () => {
    expect(ruling(switched({}, { cpu: { vendor: "unknown", family: "unknown" } })).known).toBe(true);
    expect(ruling(switched({ acs: "unknown" }, zen)).known).toBe(false);
  });

  it("shows every answer, worst first, and what to capture", () => {
    const found = ruling(switched({ acs: "unknown" }, { cpu: { vendor: "unknown", family: "unknown" } }));
    if (found.known) throw new Error("known");
    expect(found.answers.map((a) => a.mapType)).toEqual(["not-supported", "through-host-bridge", "bus-address"]);
    expect(found.unknown.map((u) => u.what)).toEqual([
      "ACS of 0000:02:00.0",
      "ACS of 0000:02:01.0",
      "the CPU's vendor and family",
    ]);
    expect(found.unknown.every((u) => u.capture.includes("dma-buf capture"))).toBe(true);
  });

  it("counts as no for the DMA API", () =>
    expect(between(switched({ acs: "unknown" }, zen)).mapType).toBe("through-host-bridge"));

  it("a bridge that the capture has lost may join them, or not", () => {
    const read = (text: string) => topologyOf(parseLspci(text));
    const end = (at: string, base: string) =>
      `${at} Ethernet controller [0200]: X [15b3:1021]\n\tControl: I/O- Mem+ BusMaster+\n\tRegion 0: Memory at ${base} (64-bit, prefetchable) [size=1M]\n\tCapabilities: [60] Express (v2) Endpoint, MSI 00\n\n`;
    const t = read(`${end("03:00.0", "4000000000")}${end("04:00.0", "4001000000")}`);
    expect(t.hostBridges.map((h) => [h.isLost, h.name])).toEqual([
      [true, "what is above bus 0000:03"],
      [true, "what is above bus 0000:04"],
    ]);
    const found = ruling(t);
    if (found.known) throw new Error("known");
    expect(found.answers.map((a) => a.mapType)).toEqual(["not-supported", "through-host-bridge", "bus-address"]);
    expect(found.unknown.map((u) => u.what)).toContain("what is above bus 0000:03");
  });

  it("a listing branches too, and a conventional bridge has no ACS to be unknown", () => {
    const listing = ruling(switched({ acs: acs("ReqRedir") }, { hostBridges: [root(0, "unknown")] }));
    if (listing.known) throw new Error("known");
    expect(listing.answers.map((a) => a.mapType)).toEqual(["not-supported", "through-host-bridge"]);
    const t = switched();
    const old = host(
      t.functions.map((f) => (f.address === "0000:02:00.0" ? { ...f, portType: "pci-bridge", acs: "unknown" } : f)),
    );
    expect(ruling(old).known).toBe(true);
  });

  it("a guest's chipset says nothing of the CPU", () => {
    const cpu = (device: number) => cpuOf(null, [fn("0000:00:00.0", "integrated", { vendor: 0x8086, device })]).vendor;
    expect([0x29c0, 0x1237, 0x7190, 0x09a2].map(cpu)).toEqual(["unknown", "unknown", "unknown", "GenuineIntel"]);
  });

  it("a known redirect settles it", () => {
    const t = switched({ acs: "unknown" });
    const settled = host(t.functions.map((f) => (f.address === "0000:02:00.0" ? { ...f, acs: acs("ReqRedir") } : f)));
    expect(ruling(settled).known).toBe(true);
  });
});

describe("the kernel's cache", () => {
  it("keeps a verdict when ACS changes; distance computes anew and overwrites", () => {
    let now = switched({ acs: acs() });
    const cache = new P2pCache(GPU, () => now);
    expect(cache.mapType(NIC)).toMatchObject({ cached: false, answer: { mapType: "bus-address" } });
    now = now.withAcs("0000:02:01.0", { ReqRedir: true });
    expect(cache.mapType(NIC)).toMatchObject({ cached: true, answer: { mapType: "bus-address" } });
    expect(cache.distance(NIC).mapType).toBe("not-supported");
    expect(cache.mapType(NIC)).toMatchObject({ cached: true, answer: { mapType: "not-supported" } });
    now = now.withAcs("0000:02:01.0", { ReqRedir: false });
    cache.release();
    expect(cache.mapType(NIC)).toMatchObject({ cached: false, answer: { mapType: "not-supported" } });
    expect(cache.distance(NIC).mapType).toBe("bus-address");
    expect(cache.mapType(NIC).answer.reason).toContain("its driver is unbound");
  });

  it("a register without the bit is not set", () => {
    const t = switched({ acs: { capability: NO_ACS_BITS, control: NO_ACS_BITS } });
    expect(() => t.withAcs("0000:02:00.0", { ReqRedir: true })).toThrow(/0000:02:00.0.*ReqRedir/);
    expect(() => t.withAcs(GPU, { ReqRedir: true })).toThrow(/no ACS capability/);
  });
});

describe("laws, on any host", () => {
  const bits = fc.constantFrom("ReqRedir", "CmpltRedir", "SrcValid", "UpstreamFwd", "none", "unknown") as fc.Arbitrary<
    "ReqRedir" | "none" | "unknown"
  >;
  /** Two switches of up to three ports below each of two root ports. */
  const hosts = fc.array(bits, { minLength: 14, maxLength: 14 }).map((chosen) => {
    const own = (i: number) => {
      const bit = chosen[i] as "ReqRedir" | "none" | "unknown";
      return { acs: bit === "none" ? null : bit === "unknown" ? ("unknown" as const) : acs(bit) };
    };
    const below = (r: number) => {
      const b = 1 + r * 8;
      const hex = (n: number) => n.toString(16).padStart(2, "0");
      const ports = [0, 1, 2].map((p) =>
        port(`0000:${hex(b + 1)}:0${p}.0`, "downstream-port", [b + 2 + p, b + 2 + p], [0, 1], own(r * 7 + p)),
      );
      const ends = [0, 1, 2].map((p) => fn(`0000:${hex(b + 2 + p)}:00.0`, "endpoint", own(r * 7 + 3 + p)));
      return [
        port(`0000:00:0${r + 1}.0`, "root-port", [b, b + 4], [0, 1], own(r * 7 + 6)),
        port(`0000:${hex(b)}:00.0`, "upstream-port", [b + 1, b + 4], [0, 1]),
        ...ports,
        ...ends,
      ];
    };
    return host([...below(0), ...below(1)], { cpu: { vendor: "unknown", family: "unknown" } });
  });

  it("the rule has no direction, and knows what the worst case says", () => {
    fc.assert(
      fc.property(hosts, (t) => {
        for (const a of t.functions)
          for (const b of t.functions) {
            const there = p2pVerdict(t, a, b);
            const back = p2pVerdict(t, b, a);
            expect([there.mapType, there.distance]).toEqual([back.mapType, back.distance]);
            const ruling = p2pRuling(t, a, b);
            expect((ruling.known ? ruling.answer : ruling.answers[0])?.mapType).toBe(there.mapType);
          }
      }),
      { numRuns: 40 },
    );
  });

  it("the matrix says of each pair what the rule says", () => {
    fc.assert(
      fc.property(hosts, (t) => {
        const { classes, verdicts } = p2pMatrix(t);
        for (const [p, providers] of classes.entries())
          for (const [c, clients] of classes.entries())
            for (const provider of providers.functions)
              for (const client of clients.functions) {
                if (provider === client) continue;
                const pair = p2pRuling(t, provider, client);
                expect(verdicts[p]?.[c]).toBe(pair.known ? pair.answer.mapType : "unknown");
              }
      }),
      { numRuns: 40 },
    );
  });
});
