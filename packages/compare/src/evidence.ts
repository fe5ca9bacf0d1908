/** How each access of a run got where it ended, as data: what a drawing of the path and of the page-table walk needs. */
import { hex } from "@dma-buf/core";
import type { Lookup, Way } from "@dma-buf/machine";
import type { Hop, PciFunction, PortType } from "@dma-buf/pci";
import type { Binding } from "./binding.js";

/** A host bridge, or a function on the way of somebody who plays. */
export interface TopologyNode {
  /** `0000:01:00.0`; of a host bridge its name. */
  readonly address: string;
  readonly kind: PortType | "host-bridge";
  /** The address above it; `null`: a host bridge. */
  readonly parent: string | null;
  readonly plays: "exporter" | "importer" | null;
  /** Bits of the ACS control register that are set: `ReqRedir`. */
  readonly acs: readonly string[];
}

/** A page-table entry that was read. All numbers but the level's are hex. */
export interface EntryEvidence {
  /** 0 is the lowest. */
  readonly level: number;
  readonly index: number;
  /** CPU-physical. */
  readonly at: string;
  readonly value: string;
}

export interface LookupEvidence {
  readonly step: number;
  readonly table: string;
  readonly address: string;
  /** Where it leads; `null`: nowhere, and `reason` says why. */
  readonly physical: string | null;
  readonly reason: string | null;
  /** The root's first. Empty where a cache answered. */
  readonly entries: readonly EntryEvidence[];
  /** Of the leaf; `null` where none was read. */
  readonly leafSizeBytes: number | null;
}

export interface AccessEvidence {
  /** When it was sent, and when it arrived or was lost. */
  readonly sentStep: number;
  readonly step: number;
  readonly task: string;
  /** A function's address, or the name of what executes. */
  readonly by: string;
  readonly access: "read" | "write";
  readonly sizeBytes: number;
  /** The number on the wire; `null`: nothing was sent. */
  readonly address: string | null;
  readonly hops: readonly Hop[];
  readonly lookups: readonly LookupEvidence[];
  readonly physical: string | null;
  readonly target: "ram" | "mmio" | "nothing";
  /** Why it reached nothing. */
  readonly reason: string | null;
}

export interface Evidence {
  /** Parents first. */
  readonly topology: readonly TopologyNode[];
  /** In the order in which they ended. */
  readonly accesses: readonly AccessEvidence[];
}

export function evidenceOf(binding: Binding, ways: readonly Way[]): Evidence {
  return { topology: nodesOf(binding), accesses: ways.map(accessOf) };
}

function nodesOf({ topology, exporter, devices }: Binding): readonly TopologyNode[] {
  const nodes = new Map<string, TopologyNode>();
  for (const address of [exporter, ...devices]) {
    const path = topology.pathToRoot(topology.get(address)).toReversed();
    const bridge = topology.hostBridgeOf(path[0] as PciFunction).name;
    nodes.set(bridge, { address: bridge, kind: "host-bridge", parent: null, plays: null, acs: [] });
    for (const fn of path) {
      const plays = fn.address === exporter ? "exporter" : devices.includes(fn.address) ? "importer" : null;
      nodes.set(fn.address, {
        address: fn.address,
        kind: fn.portType,
        acs: acsOf(fn),
        parent: topology.parentOf(fn)?.address ?? bridge,
        plays,
      });
    }
  }
  return [...nodes.values()];
}

function acsOf({ acs }: PciFunction): readonly string[] {
  const control = acs === null || acs === "unknown" ? {} : acs.control;
  return Object.entries(control).flatMap(([bit, on]) => (on ? [bit] : []));
}

function accessOf({ task, hops, lookups, arrival }: Way): AccessEvidence {
  const { step, by, access, sizeBytes, issued, physical, target, reason } = arrival;
  return {
    sentStep: issued?.step ?? step,
    step,
    task,
    by,
    access,
    sizeBytes,
    address: issued ? hex(issued.address) : null,
    hops,
    lookups: lookups.map(lookupOf),
    physical: physical === null ? null : hex(physical),
    target,
    reason: reason ?? null,
  };
}

function lookupOf({ step, table, address, physical, walk }: Lookup): LookupEvidence {
  return {
    step,
    table,
    address: hex(address),
    physical: physical === null ? null : hex(physical),
    reason: walk?.kind === "fault" ? walk.detail : null,
    entries: (walk?.steps ?? []).map((s) => ({
      level: s.level,
      index: s.index,
      at: hex(s.entryPhys),
      value: `0x${s.entry.toString(16).padStart(16, "0")}`,
    })),
    leafSizeBytes: walk?.kind === "hit" ? walk.leafSizeBytes : null,
  };
}
