import { addr, type BusAddr } from "@dma-buf/core";
import { expect, it } from "vitest";
import { type CatalogueOptions, t1, t2 } from "./catalogue.js";
import { p2pVerdict } from "./p2p.js";
import { route } from "./route.js";

it("has as many importers as are asked for, each below a port of its own", () => {
  for (const make of [t1, t2])
    for (const importers of [1, 3]) {
      const made = make({ importers, allowlisted: true });
      expect(made.importers).toHaveLength(importers);
      const ports = made.importers.map((a) => made.topology.parentOf(made.topology.get(a))?.address);
      expect(new Set(ports).size).toBe(importers);
    }
});

it("a function apart meets the exporter only above the root ports", () => {
  const { topology, exporter, importers, apart } = t1({ apart: 1 });
  const mapType = (a: string | undefined) =>
    p2pVerdict(topology, topology.get(exporter), topology.get(a as string)).mapType;
  expect([mapType(importers[0]), mapType(apart[0])]).toEqual(["bus-address", "not-supported"]);
});

it("a virtual function of its first importer, inside one device", () => {
  const { topology, exporter, importers } = t1({ virtualFunction: true, importers: 2 });
  const vf = topology.get(exporter);
  expect([vf.physfn, importers.length, topology.parentOf(vf)?.address]).toEqual([importers[0], 2, "0000:02:00.0"]);
  const ends = importers.map((a) => {
    const { hops, end } = route(topology, topology.get(a), addr<BusAddr>(vf.bars[0]?.base ?? 0));
    return [hops.length, end];
  });
  const there = expect.objectContaining({ kind: "function", fn: vf });
  const [pf, other] = importers.map((address) => topology.get(address));
  const toPf = route(topology, other as typeof vf, addr<BusAddr>(pf?.bars[0]?.base ?? 0));
  expect(toPf.end).toMatchObject({ kind: "function", fn: pf });
  expect(ends).toEqual([
    [1, there],
    [expect.any(Number), there],
  ]);
  expect(importers.map((a) => p2pVerdict(topology, vf, topology.get(a)).mapType)).toEqual([
    "bus-address",
    "bus-address",
  ]);
});

it.each<[string, CatalogueOptions, number, number]>([
  ["1 GiB at 256 GiB", {}, 2 ** 38, 2 ** 30],
  ["a large one at a multiple of its size", { barBytes: 2 ** 39 }, 2 ** 39, 2 ** 39],
  ["where one says", { barBase: 2 ** 45 }, 2 ** 45, 2 ** 30],
])("the BAR: %s, and every request to it arrives", (_what, options, base, sizeBytes) => {
  for (const { topology, exporter, importers } of [t1(options), t1({ ...options, importers: 2 })]) {
    expect(topology.get(exporter).bars[0]).toMatchObject({ base, sizeBytes });
    for (const at of [base, base + sizeBytes - 4096])
      expect(route(topology, topology.get(importers[0] as string), addr<BusAddr>(at)).end).toMatchObject({
        kind: "function",
        fn: { address: exporter },
      });
  }
});

it("DirectTrans lets translated requests go sideways, and those alone", () => {
  const { topology, exporter, importers } = t1({ acsRedirect: true, acsDirectTranslated: true, ats: true });
  const nic = topology.get(importers[0] as string);
  const { base } = topology.get(exporter).bars[0] as { readonly base: number };
  const end = (translated: boolean) => route(topology, nic, addr<BusAddr>(base), { translated }).end.kind;
  expect([nic.ats, end(true), end(false)]).toEqual([expect.anything(), "function", "root-complex"]);
});
