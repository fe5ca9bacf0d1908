import { readFileSync } from "node:fs";
import { Framework, type Op } from "@dma-buf/core";
import { parseLspci, topologyOf } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { bind } from "./binding.js";
import { type Column, columns } from "./columns.js";
import { compare, explain, UsageError } from "./compare.js";
import { CONFORMING, runCell } from "./run.js";
import type { Scenario } from "./scenario.js";
import { catalogue } from "./scenarios/index.js";

const capture = parseLspci(
  readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8"),
  "laptop",
);
const host = topologyOf(capture);

describe("the catalogue", () => {
  it.each([
    ["on the captured host", capture],
    ["on its own topologies", undefined],
  ] as const)("%s: every cell is as expected", (_name, machine) => {
    const { results } = compare(machine ? { capture: machine } : {});
    expect(results).toHaveLength(20);
    expect(results.filter((r) => !r.asExpected)).toEqual([]);
    expect(results.filter((r) => r.schedules && !r.schedules.exhausted)).toEqual([]);
  });

  it("runs on the host what the host has", () => {
    const where = Object.fromEntries(catalogue.map((s) => [s.id, bind(s, host).where]));
    expect(where).toEqual({
      S02a: "catalogue",
      S17a: "host",
      S34c: "host",
      S18a: "host",
      S06a: "catalogue",
      S15a: "catalogue",
      S34a: "host",
      S21a: "host",
      S01a: "host",
      S41a: "host",
    });
  });

  it("shows both answers where one hangs on something unknown", () => {
    const [result] = compare({ capture, scenarios: ["S18a"], contracts: ["pfn"] }).results;
    expect(result?.unknown?.otherwise).toEqual({ verdict: "CORRUPT" });
  });

  it("gives the same answer twice", () => expect(compare({ capture })).toEqual(compare({ capture })));

  it("refuses ids that do not exist, with those that do", () => {
    expect(() => compare({ scenarios: ["S99"] })).toThrow(UsageError);
    expect(() => compare({ contracts: ["E"] })).toThrow(/unknown contract "E": choose from dma-address, pfn/);
    expect(() => explain({ scenario: "S17a", contract: "dma-address", run: "asPosted" })).toThrow(/nobody posted/);
  });

  it("explains: the trace has the call, the callback, the store and the access, in order", () => {
    const { trace, replayToken } = explain({ capture, scenario: "S41a", contract: "pfn" });
    const kinds = trace.map((e) => e.kind);
    for (const kind of ["call", "lock", "callback", "store", "access", "event"]) expect(kinds).toContain(kind);
    expect(trace.map((e) => e.step)).toEqual(trace.map((e) => e.step).toSorted((a, b) => a - b));
    expect(replayToken).toMatch(/^dbs1:/);
  });
});

/** A break, its scenario and contract, and the verdict it must turn the cell into. */
const [dmaAddress, pfn] = columns as [Column, Column];
const scenario = (id: string): Scenario => catalogue.find((s) => s.id === id) as Scenario;
const broken = (column: Column, id: string): string => {
  const of = scenario(id);
  return runCell({
    scenario: of,
    column,
    binding: bind(of, host),
    cast: CONFORMING,
    forwards: of.topology.forwards !== "no",
  }).verdict.verdict;
};
/** The exporter is given a framework on which one call does something else. */
const exporterWith = (column: Column, patch: (fw: Framework) => void): Column => ({
  ...column,
  vfio: (options) => (fw, vfio) => {
    patch(fw);
    return column.vfio(options)(fw, vfio);
  },
});

describe("a verdict changes when its mechanism is broken", () => {
  it.each<[string, Column, string, string, string]>([
    ["KVM's retry", { ...pfn, kvm: (o) => pfn.kvm({ ...o, retry: false }) }, "S34a", "OK", "STALE"],
    ["KVM's TLB flush", { ...pfn, kvm: (o) => pfn.kvm({ ...o, flush: false }) }, "S34a", "OK", "STALE"],
    [
      "the invalidate",
      exporterWith(pfn, (fw) => {
        fw.invalidate = function* (): Op<void> {};
      }),
      "S34a",
      "OK",
      "STALE",
    ],
    [
      "the invalidate, under DMA addresses",
      exporterWith(dmaAddress, (fw) => {
        fw.invalidate = function* (): Op<void> {};
      }),
      "S34c",
      "OK",
      "STALE",
    ],
    [
      "the bus offset",
      { ...dmaAddress, vfio: (o) => (fw, vfio) => dmaAddress.vfio(o)(fw, wrap(vfio, 0)) },
      "S02a",
      "OK",
      "CORRUPT",
    ],
    ["the exporter's refusal", { ...pfn, vfio: () => pfn.vfio({ asPosted: true }) }, "S02a", "REFUSED", "CORRUPT"],
    [
      "an unmap",
      {
        ...pfn,
        gpu: (o) => (fw, gpu) => {
          const device = { ...bound(gpu.device), dma: { ...bound(gpu.device.dma), unmapPhys() {} } };
          return pfn.gpu(o)(fw, { ...gpu, device });
        },
      },
      "S01a",
      "OK",
      "RESLEAK",
    ],
    [
      "a put",
      exporterWith(pfn, (fw) => {
        const put = fw.put.bind(fw);
        let n = 0;
        fw.put = (buf) => (n++ === 0 ? nothing() : put(buf));
      }),
      "S17a",
      "OK",
      "RESLEAK",
    ],
    [
      "the reservation, never given back",
      exporterWith(pfn, (fw) => {
        fw.invalidate = function* (buf): Op<void> {
          yield* buf.resv.lock();
        };
      }),
      "S34a",
      "OK",
      "HANG",
    ],
  ])("%s", (_name, column, id, before, after) => {
    const whole = column.contract.id === "pfn" ? pfn : dmaAddress;
    expect([broken(whole, id), broken(column, id)]).toEqual([before, after]);
  });
});

it("a verdict changes with the machine: without translation nobody stops a foreign address", () => {
  const of = scenario("S06a");
  const open: Scenario = { ...of, topology: { ...of.topology, iommu: "off" } };
  const run = (s: Scenario): string =>
    runCell({ scenario: s, column: dmaAddress, binding: bind(s, host), cast: CONFORMING, forwards: true }).verdict
      .verdict;
  expect([run(of), run(open)]).toEqual(["FAULT", "OK"]);
});

function* nothing(): Op<void> {}

/** A copy whose methods still belong to the original. */
function bound<T extends object>(of: T): T {
  return new Proxy({} as T, {
    get: (_t, key) => {
      const value = Reflect.get(of, key) as unknown;
      return typeof value === "function" ? value.bind(of) : value;
    },
    ownKeys: () => [...Reflect.ownKeys(of), ...Reflect.ownKeys(Object.getPrototypeOf(of) as object)],
    getOwnPropertyDescriptor: (_t, key) => ({
      configurable: true,
      enumerable: true,
      value: Reflect.get(bound(of), key) as unknown,
    }),
  });
}

function wrap(of: Parameters<ReturnType<Column["vfio"]>>[1], busOffsetBytes: number): typeof of {
  return {
    name: of.name,
    region: (i) => of.region(i),
    provider: (i) => {
      const real = of.provider(i);
      return real && { busOffsetBytes, verdict: (client) => real.verdict(client) };
    },
    get memoryEnabled() {
      return of.memoryEnabled;
    },
    writeMemoryEnabled: (on) => of.writeMemoryEnabled(on),
    get powerState() {
      return of.powerState;
    },
    setPowerState: (to) => of.setPowerState(to),
    canReset: of.canReset,
    hasFlr: of.hasFlr,
    reset: () => of.reset(),
  };
}
