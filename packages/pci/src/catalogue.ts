/** The topologies of the scenario catalogue, in code. */
import { addr, type PhysAddr } from "@dma-buf/core";
import {
  blankFunction,
  type AcsBits,
  type Bar,
  type BridgeWindow,
  NO_ACS_BITS,
  type PciFunction,
  type PortType,
} from "./function.js";
import type { HostBridge } from "./host-bridge.js";
import { Topology } from "./topology.js";

export interface CatalogueOptions {
  /** How far bus numbers lie below the CPU's. @defaultValue 0 */
  readonly busOffsetBytes?: number;
  /** ACS ReqRedir and CmpltRedir on every port. @defaultValue false */
  readonly acsRedirect?: boolean;
  /** ACS DirectTrans on every port: requests that the device had translated go the direct way. @defaultValue false */
  readonly acsDirectTranslated?: boolean;
  /** @defaultValue false */
  readonly allowlisted?: boolean;
  /** Of BAR 0 of the exporter's device, a power of two. @defaultValue 1 GiB */
  readonly barBytes?: number;
  /** Where that BAR is for the CPU. @defaultValue 256 GiB, or its size if that is more */
  readonly barBase?: number;
  /** How many functions that do DMA, where the topology has its own. @defaultValue 1 in T1, 2 in T2 */
  readonly importers?: number;
  /** Have those functions ATS? @defaultValue false */
  readonly ats?: boolean;
  /** In T1, how many more of them below root ports of their own, apart from the switch. @defaultValue 0 */
  readonly apart?: number;
  /** In T1, is the exporter's device a virtual function of the first importer? @defaultValue false */
  readonly virtualFunction?: boolean;
}

/** A topology with its actors: the function whose BAR 0 is exported, and functions that do DMA. */
export interface CatalogueTopology {
  readonly topology: Topology;
  readonly exporter: string;
  readonly importers: readonly string[];
  /** Those that no switch joins to the exporter. */
  readonly apart: readonly string[];
}

const GIB = 2 ** 30;
const MIB = 2 ** 20;
const BIG = 0x40_0000_0000;
const SMALL = 0x50_0000_0000;
/** Buses behind the switch of T1 are 3 and up: behind root ports of their own, from here on. */
const APART_BUS = 0x20;

/** T1: one root port, a switch, the exporter and its importers below it. */
export function t1(options: CatalogueOptions = {}): CatalogueTopology {
  const { importers = 1, apart = 0 } = options;
  const port = portWith(options);
  const big = bigWindow(options);
  const small = window(smallBase(options), importers * MIB);
  const lastBus = 3 + importers;
  const { exporter, physfn } = exporting(options, big, small.base);
  const nics = count(importers)
    .slice(physfn.length)
    .map((i) => ({
      port: port(`0000:02:${hex2(i + 1)}.0`, "downstream-port", 2, 4 + i, 4 + i, [window(small.base + i * MIB, MIB)]),
      nic: nic(options, `0000:${hex2(4 + i)}:00.0`, importers === 1 ? "NIC" : `NIC ${i + 1}`, small.base + i * MIB),
    }));
  const others = count(apart).map((i) => behindRootPort(options, i + 2, APART_BUS + i, importers + i, "NIC apart"));
  return {
    topology: topology(options, [
      port("0000:00:01.0", "root-port", 0, 1, lastBus, [big, small]),
      ...others.map((o) => o.port),
      port("0000:01:00.0", "upstream-port", 1, 2, lastBus, [big, small]),
      port("0000:02:00.0", "downstream-port", 2, 3, 3, [big, ...physfn.map(() => window(small.base, MIB))]),
      ...nics.map((n) => n.port),
      ...physfn,
      exporter,
      ...nics.map((n) => n.nic),
      ...others.map((o) => o.nic),
    ]),
    exporter: exporter.address,
    importers: [...physfn, ...nics.map((n) => n.nic)].map((fn) => fn.address),
    apart: others.map((o) => o.nic.address),
  };
}

/** What T1 has below the first port of its switch; `physfn` is empty where the exporter's device is no virtual function. */
function exporting(
  options: CatalogueOptions,
  { base: at, sizeBytes }: BridgeWindow,
  smallBar: number,
): { readonly exporter: PciFunction; readonly physfn: readonly PciFunction[] } {
  const first = "0000:03:00.0";
  if (!options.virtualFunction)
    return { exporter: endpoint(first, "the exporter's device", at, sizeBytes), physfn: [] };
  const vf = endpoint("0000:03:00.1", "its virtual function", at, sizeBytes);
  return { exporter: { ...vf, physfn: first }, physfn: [nic(options, first, "the physical function", smallBar)] };
}

/** T2: root ports under one host bridge, the exporter below one, importers below one each. */
export function t2(options: CatalogueOptions = {}): CatalogueTopology {
  const { importers = 2 } = options;
  const big = bigWindow(options);
  const nics = count(importers).map((i) => behindRootPort(options, i + 2, i + 2, i, `NIC ${i + 1}`));
  return {
    topology: topology(options, [
      portWith(options)("0000:00:01.0", "root-port", 0, 1, 1, [big]),
      ...nics.map((n) => n.port),
      endpoint("0000:01:00.0", "the exporter's device", big.base, big.sizeBytes),
      ...nics.map((n) => n.nic),
    ]),
    exporter: "0000:01:00.0",
    importers: nics.map((n) => n.nic.address),
    apart: [],
  };
}

/** A function below a root port of its own; `place` counts the MiB in which the small BARs are. */
function behindRootPort(options: CatalogueOptions, slot: number, bus: number, place: number, name: string) {
  const at = smallBase(options) + place * MIB;
  return {
    port: portWith(options)(`0000:00:${hex2(slot)}.0`, "root-port", 0, bus, bus, [window(at, MIB)]),
    nic: nic(options, `0000:${hex2(bus)}:00.0`, name, at),
  };
}

/** Of the exporter's BAR, which lies at a multiple of its size. */
function bigWindow({ barBytes = GIB, barBase = Math.max(BIG, barBytes) }: CatalogueOptions): BridgeWindow {
  return window(barBase, barBytes);
}

/** Where the small BARs begin: behind the big one, if it reaches so far. */
function smallBase(options: CatalogueOptions): number {
  const big = bigWindow(options);
  return big.base < SMALL ? Math.max(SMALL, big.base + big.sizeBytes) : SMALL;
}

function count(n: number): readonly number[] {
  return Array.from({ length: n }, (_, i) => i);
}

function hex2(n: number): string {
  return n.toString(16).padStart(2, "0");
}

function topology(
  { busOffsetBytes = 0, allowlisted = false }: CatalogueOptions,
  functions: readonly PciFunction[],
): Topology {
  const bridge: HostBridge = {
    name: "host bridge 0000:00",
    domain: 0,
    bus: 0,
    busOffsetBytes,
    listing: allowlisted ? "listed" : "not-listed",
    isLost: false,
    isOffsetKnown: true,
  };
  return new Topology({ functions, hostBridges: [bridge], cpu: { vendor: "GenuineIntel", family: 6 } });
}

function portWith({ acsRedirect = false, acsDirectTranslated = false }: CatalogueOptions) {
  const can: AcsBits = { ...NO_ACS_BITS, UpstreamFwd: true };
  const control = { ...can, ReqRedir: acsRedirect, CmpltRedir: acsRedirect, DirectTrans: acsDirectTranslated };
  const capability = { ...can, ReqRedir: true, CmpltRedir: true, DirectTrans: acsDirectTranslated };
  return (
    address: string,
    portType: PortType,
    primary: number,
    secondary: number,
    subordinate: number,
    windows: readonly BridgeWindow[],
  ): PciFunction => ({
    ...base(address, portType.replace("-", " ")),
    portType,
    bridge: { primary, secondary, subordinate, windows },
    // An upstream port has no ACS: only ports that receive from below do.
    acs: portType === "upstream-port" ? null : { capability, control },
  });
}

function nic({ ats = false }: CatalogueOptions, address: string, name: string, barBase: number): PciFunction {
  return { ...endpoint(address, name, barBase, 2 ** 16), ats: ats ? { enabled: false, queueDepth: 0 } : null };
}

function endpoint(address: string, name: string, barBase: number, barBytes: number): PciFunction {
  const bar: Bar = {
    index: 0,
    space: "memory",
    base: addr<PhysAddr>(barBase),
    sizeBytes: barBytes,
    prefetchable: true,
    bits: 64,
    enabled: true,
  };
  return { ...base(address, name), bars: [bar] };
}

function base(address: string, name: string): PciFunction {
  return { ...blankFunction(address), name, className: "catalogue" };
}

function window(from: number, sizeBytes: number): BridgeWindow {
  return { kind: "prefetchable", base: addr<PhysAddr>(from), sizeBytes };
}
