// What a peer-to-peer answer costs: the matrix of a big host, in this process, and as the command that people run.
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { addr } from "@dma-buf/core";
import { captureToJson, p2pMatrix, p2pVerdict, parseLspci, Topology } from "@dma-buf/pci";

const CLI = join(import.meta.dirname, "../packages/cli/bin/dma-buf.js");
const PORTS = 125;
const NO_BITS = Object.fromEntries(
  ["SrcValid", "TransBlk", "ReqRedir", "CmpltRedir", "UpstreamFwd", "EgressCtrl", "DirectTrans"].map((b) => [b, false]),
);
const hex = (n) => n.toString(16).padStart(2, "0");

/** 125 root ports, a port below each, and two functions below that: as many classes as such a host can have. */
function functions() {
  const made = [fn("0000:00:00.0", "integrated")];
  for (let i = 0; i < PORTS; i++) {
    const domain = (1 + (i >> 5)).toString(16).padStart(4, "0");
    const bus = 1 + (i & 31) * 4;
    const at = (b, d) => `${domain}:${hex(b)}:${d}`;
    made.push(fn(`${domain}:00:${hex(i & 31)}.0`, "root-port", bridge(0, bus, bus + 1)));
    made.push(fn(at(bus, "00.0"), "downstream-port", bridge(bus, bus + 1, bus + 1)));
    made.push(fn(at(bus + 1, "00.0"), "endpoint", bars(i)), fn(at(bus + 1, "00.1"), "endpoint"));
  }
  return made;
}

function fn(address, portType, more = {}) {
  const acs = portType.endsWith("port") ? { capability: NO_BITS, control: { ...NO_BITS, ReqRedir: true } } : null;
  const ids = { classCode: 0x030200, className: "", name: `function ${address}`, vendor: 0x10de, device: 0x2330 };
  const rest = { driver: null, iommuGroup: null, numaNode: null, physfn: null, multiFunction: false };
  const flags = { busMaster: true, memoryEnabled: true, ats: null, bars: [], unsizedBars: [], bridge: null };
  return { address, portType, acs, ...ids, ...rest, ...flags, ...more };
}

const bridge = (primary, secondary, subordinate) => ({
  classCode: 0x060400,
  bridge: { primary, secondary, subordinate, windows: [] },
});

const bars = (i) => ({
  bars: [
    {
      index: 0,
      space: "memory",
      base: addr(2 ** 40 + i * 2 ** 24),
      sizeBytes: 2 ** 24,
      prefetchable: true,
      bits: 64,
      enabled: true,
    },
  ],
});

export function pci() {
  const all = functions();
  const domains = [...new Set(all.map((f) => parseInt(f.address.slice(0, 4), 16)))];
  const hostBridges = domains.map((domain) => ({
    name: `${domain}`,
    domain,
    bus: 0,
    busOffsetBytes: 0,
    listing: "listed",
    isLost: false,
    isOffsetKnown: true,
  }));
  const topology = new Topology({ functions: all, hostBridges, cpu: { vendor: "GenuineIntel", family: 6 } });
  return { rows: [growth(), matrix(topology), command(all)], counted: [] };
}

/** A capture eight times as long takes eight times as long: near 1, or something in the reader is quadratic. */
function growth() {
  const text = (count) => Array.from({ length: count }, (_, i) => described(i)).join("");
  const [short, long] = [text(1000), text(8000)];
  return {
    name: "growth: reading 8,000 functions",
    unit: "capture",
    baselineName: "1,000 functions, eight times",
    goal: 1.5,
    n: 1,
    baseline() {
      let read = 0;
      for (let i = 0; i < 8; i++) read += parseLspci(short).functions.length;
      return read;
    },
    candidate: () => parseLspci(long).functions.length,
  };
}

function described(i) {
  const [domain, bus, slot, digit] = [i >> 16, (i >> 8) & 0xff, (i >> 3) & 0x1f, i & 7].map((n) => hex(n));
  return `00${domain}:${bus}:${slot}.${digit.slice(1)} Ethernet controller: X\n\tControl: I/O- Mem+ BusMaster+\n\n`;
}

function matrix(topology) {
  const ends = topology.functions.filter((f) => f.bridge === null);
  const pairs = ends.length ** 2;
  return {
    name: `the matrix of ${topology.functions.length} functions`,
    unit: "matrix",
    baselineName: `the rule for each of ${pairs} pairs`,
    goal: 0.6,
    n: 1,
    baseline() {
      let near = 0;
      for (const a of ends) for (const b of ends) near += p2pVerdict(topology, a, b).distance;
      return near;
    },
    candidate: () => p2pMatrix(topology).classes.length,
  };
}

function command(all) {
  const file = join(mkdtempSync(join(tmpdir(), "dma-buf-bench-")), "host.json");
  const host = {
    cpu: null,
    kernelRelease: null,
    commandLine: null,
    iommu: "on",
    domainTypes: new Map(),
    busOffsets: new Map(),
  };
  const capture = { source: "a host of 500 functions", format: "json", functions: all, host, unknown: [], skipped: [] };
  writeFileSync(file, captureToJson(capture));
  const node = (...args) => execFileSync(process.execPath, args, { maxBuffer: 2 ** 26 }).length;
  return {
    name: `\`dma-buf p2p\` on a host of ${all.length} functions, started anew`,
    unit: "answer",
    baselineName: "node that starts and does nothing",
    goal: 5,
    n: 1,
    baseline: () => node("-e", "0"),
    candidate: () => node(CLI, "p2p", file),
  };
}
