/** A machine as a tree: who is below whom, with memory BARs, the ACS bits that are set, and IOMMU groups. */
import { hex } from "@dma-buf/core";
import { nameOf } from "./function-name.js";
import {
  type Bar,
  type Capture,
  type HostBridge,
  iommuGroups,
  type PciFunction,
  topologyOf,
  type Topology,
} from "@dma-buf/pci";

export function renderMachine(capture: Capture): string {
  const topology = topologyOf(capture);
  const groupOf = groupsOf(capture, topology);
  return [
    `${capture.source}: ${capture.functions.length} functions, ${topology.hostBridges.length === 1 ? "1 PCI root" : `${topology.hostBridges.length} PCI roots`}`,
    ...hostLines(capture),
    "",
    ...topology.hostBridges.flatMap((root) => rootLines(topology, root, groupOf)),
    ...listed(
      "Unknown",
      capture.unknown.map((u) => `${u.what}: ${u.because}. To know it: ${u.capture}`),
    ),
    ...listed(
      "Skipped",
      capture.skipped.map((s) => `${s.where}: ${s.because}: ${s.text}`),
    ),
  ].join("\n");
}

function hostLines({ host }: Capture): string[] {
  const { cpu, kernelRelease } = host;
  const facts = [
    cpu ? `CPU ${cpu.vendor} family ${hex(cpu.family)} model ${hex(cpu.model)}` : "CPU unknown",
    kernelRelease ? `Linux ${kernelRelease}` : "kernel unknown",
    host.iommu === "unknown" ? "IOMMU unknown" : `IOMMU ${host.iommu}`,
    ...domainText(host.domainTypes),
  ];
  return [facts.join(", ")];
}

function domainText(types: ReadonlyMap<number, string>): string[] {
  const kinds = [...new Set(types.values())];
  return kinds.length > 0 ? [`default domains ${kinds.join(", ")}`] : [];
}

function rootLines(topology: Topology, root: HostBridge, groupOf: GroupOf): string[] {
  const offset = root.busOffsetBytes === 0 ? "" : `, bus address = CPU address - ${hex(root.busOffsetBytes)}`;
  const listing =
    root.listing === "unknown" ? "unknown whether on the kernel's peer-to-peer list" : LISTING[root.listing];
  return [`${root.name} (${listing}${offset})`, ...branches(topology, topology.rootsBelow(root), "", groupOf), ""];
}

const LISTING = {
  listed: "on the kernel's peer-to-peer list",
  "same-bridge-only": "on the kernel's peer-to-peer list for peers below itself",
  "not-listed": "not on the kernel's peer-to-peer list",
} as const;

/** The text for a function's IOMMU group; empty where nothing is known of it. */
type GroupOf = (fn: PciFunction) => string;

/** Captured groups, or else those that the kernel would form: unless ports hide their ACS, and with it who is isolated. */
function groupsOf({ functions }: Capture, topology: Topology): GroupOf {
  if (functions.some((fn) => fn.iommuGroup !== null))
    return (fn) => (fn.iommuGroup === null ? "" : `group ${fn.iommuGroup}`);
  if (functions.some((fn) => fn.acs === "unknown" && fn.bridge !== null)) return () => "";
  const numbers = new Map(iommuGroups(topology).flatMap((group, i) => group.map((fn) => [fn, i] as const)));
  return (fn) => `group ${numbers.get(fn)} by rule`;
}

function branches(topology: Topology, functions: readonly PciFunction[], indent: string, groupOf: GroupOf): string[] {
  return functions.flatMap((fn, i) => {
    const last = i === functions.length - 1;
    const below = `${indent}${last ? "   " : "|  "}`;
    return [
      `${indent}${last ? "`- " : "+- "}${functionText(fn, groupOf(fn))}`,
      ...fn.bars.filter((b) => b.space === "memory").map((b) => `${below}     ${barText(b)}`),
      ...branches(topology, topology.childrenOf(fn), below, groupOf),
    ];
  });
}

function functionText(fn: PciFunction, group: string): string {
  const facts = [
    ...(fn.bridge ? [`to bus ${fn.bridge.secondary.toString(16).padStart(2, "0")}`] : []),
    ...acsText(fn),
    ...(fn.ats !== null && fn.ats !== "unknown" ? [`ATS ${fn.ats.enabled ? "on" : "off"}`] : []),
    ...(group === "" ? [] : [group]),
    ...(fn.physfn ? [`VF of ${fn.physfn}`] : []),
    ...(fn.driver ? [fn.driver] : []),
  ];
  const tail = facts.length > 0 ? ` [${facts.join("; ")}]` : "";
  return `${fn.address} ${nameOf(fn)}${tail}`;
}

function barText(bar: Bar): string {
  return `BAR ${bar.index}: ${hex(bar.base)}, ${sizeText(bar.sizeBytes)}${bar.enabled ? "" : ", disabled"}`;
}

function acsText({ acs, bridge }: PciFunction): string[] {
  if (acs === null) return [];
  if (acs === "unknown") return bridge ? ["ACS unknown"] : [];
  const set = Object.entries(acs.control).flatMap(([name, on]) => (on ? [name] : []));
  return [`ACS ${set.join(" ") || "all off"}`];
}

function sizeText(bytes: number): string {
  for (const [unit, size] of [
    ["GiB", 2 ** 30],
    ["MiB", 2 ** 20],
    ["KiB", 2 ** 10],
  ] as const)
    if (bytes >= size) return `${bytes / size} ${unit}`;
  return `${bytes} bytes`;
}

function listed(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title} (${lines.length}):`, ...lines.map((line) => `  ${line}`), ""];
}
