/** Small hosts for tests: a function by a few words. */
import { addr, type PhysAddr } from "@dma-buf/core";
import { type AcsBits, type Bar, NO_ACS_BITS, type PciFunction, type PortType, blankFunction } from "./function.js";
import type { HostBridge, Listing } from "./host-bridge.js";
import { Topology, type TopologyInit } from "./topology.js";

const ALL: AcsBits = Object.fromEntries(Object.keys(NO_ACS_BITS).map((bit) => [bit, true])) as unknown as AcsBits;

/** ACS with every capability and these bits set. */
export function acs(...bits: (keyof AcsBits)[]): PciFunction["acs"] {
  return { capability: ALL, control: { ...NO_ACS_BITS, ...Object.fromEntries(bits.map((bit) => [bit, true])) } };
}

export function fn(address: string, portType: PortType, more: Partial<PciFunction> = {}): PciFunction {
  return { ...blankFunction(address), name: `function ${address}`, portType, ...more };
}

export function bar(base: number, sizeBytes = 0x10_0000, index = 0): Bar {
  return { index, space: "memory", base: addr<PhysAddr>(base), sizeBytes, prefetchable: true, bits: 64, enabled: true };
}

/** A port to `secondary` (to `subordinate`), with one window. */
export function port(
  address: string,
  portType: PortType,
  [secondary, subordinate]: readonly [number, number],
  [from, sizeBytes]: readonly [number, number],
  more: Partial<PciFunction> = {},
): PciFunction {
  const windows = [{ kind: "prefetchable", base: addr<PhysAddr>(from), sizeBytes }] as const;
  return fn(address, portType, {
    bridge: { primary: parseInt(address.slice(5, 7), 16), secondary, subordinate, windows },
    ...more,
  });
}

export function root(bus = 0, listing: Listing = "not-listed", busOffsetBytes = 0): HostBridge {
  return {
    name: `the host bridge of 0000:${bus.toString(16).padStart(2, "0")}`,
    domain: 0,
    bus,
    busOffsetBytes,
    listing,
    isLost: false,
    isOffsetKnown: true,
  };
}

export function host(functions: readonly PciFunction[], more: Partial<TopologyInit> = {}): Topology {
  return new Topology({ functions, hostBridges: [root()], cpu: { vendor: "GenuineIntel", family: 6 }, ...more });
}

const MIB = 2 ** 20;

/** One root port, a switch, GPU below its port 0 (BAR at 64 MiB) and NIC below port 1 (BAR at 80 MiB). */
export function switched(
  dsp: Partial<PciFunction> = {},
  more: Partial<TopologyInit> = {},
  rp: Partial<PciFunction> = {},
): Topology {
  return host(
    [
      port("0000:00:01.0", "root-port", [1, 4], [64 * MIB, 32 * MIB], rp),
      port("0000:01:00.0", "upstream-port", [2, 4], [64 * MIB, 32 * MIB]),
      port("0000:02:00.0", "downstream-port", [3, 3], [64 * MIB, 16 * MIB], dsp),
      port("0000:02:01.0", "downstream-port", [4, 4], [80 * MIB, 16 * MIB], dsp),
      fn("0000:03:00.0", "endpoint", { bars: [bar(64 * MIB)] }),
      fn("0000:04:00.0", "endpoint", { bars: [bar(80 * MIB)] }),
    ],
    more,
  );
}
