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
  /** @defaultValue false */
  readonly allowlisted?: boolean;
}

/** A topology with its actors: the function whose BAR 0 (1 GiB) is exported, and functions that do DMA. */
export interface CatalogueTopology {
  readonly topology: Topology;
  readonly exporter: string;
  readonly importers: readonly string[];
}

const GIB = 2 ** 30;
const BIG = 0x40_0000_0000;
const SMALL = 0x50_0000_0000;

/** T1: one root port, a switch, the exporter and one importer below it. */
export function t1(options: CatalogueOptions = {}): CatalogueTopology {
  const port = portWith(options);
  const big = window(BIG, GIB);
  const small = window(SMALL, 2 ** 20);
  return {
    topology: topology(options, [
      port("0000:00:01.0", "root-port", 0, 1, 4, [big, small]),
      port("0000:01:00.0", "upstream-port", 1, 2, 4, [big, small]),
      port("0000:02:00.0", "downstream-port", 2, 3, 3, [big]),
      port("0000:02:01.0", "downstream-port", 2, 4, 4, [small]),
      endpoint("0000:03:00.0", "the exporter's device", BIG, GIB),
      endpoint("0000:04:00.0", "NIC", SMALL, 2 ** 16),
    ]),
    exporter: "0000:03:00.0",
    importers: ["0000:04:00.0"],
  };
}

/** T2: root ports under one host bridge, the exporter below one, two importers below two others. */
export function t2(options: CatalogueOptions = {}): CatalogueTopology {
  const port = portWith(options);
  const windows = [0, 1].map((i) => window(SMALL + i * 2 ** 20, 2 ** 20)) as [BridgeWindow, BridgeWindow];
  return {
    topology: topology(options, [
      port("0000:00:01.0", "root-port", 0, 1, 1, [window(BIG, GIB)]),
      port("0000:00:02.0", "root-port", 0, 2, 2, [windows[0]]),
      port("0000:00:03.0", "root-port", 0, 3, 3, [windows[1]]),
      endpoint("0000:01:00.0", "the exporter's device", BIG, GIB),
      endpoint("0000:02:00.0", "NIC 1", SMALL, 2 ** 16),
      endpoint("0000:03:00.0", "NIC 2", SMALL + 2 ** 20, 2 ** 16),
    ]),
    exporter: "0000:01:00.0",
    importers: ["0000:02:00.0", "0000:03:00.0"],
  };
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

function portWith({ acsRedirect = false }: CatalogueOptions) {
  const control: AcsBits = { ...NO_ACS_BITS, ReqRedir: acsRedirect, CmpltRedir: acsRedirect, UpstreamFwd: true };
  const capability: AcsBits = { ...NO_ACS_BITS, ReqRedir: true, CmpltRedir: true, UpstreamFwd: true };
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
