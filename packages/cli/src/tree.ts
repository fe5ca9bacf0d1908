/** A machine as a tree: who is below whom, with memory BARs and the ACS bits that are set. */
import { hex } from "@dma-buf/core";
import { type Bar, type Capture, type PciFunction, topologyOf, type Topology } from "@dma-buf/pci";

export function renderMachine(capture: Capture): string {
  const topology = topologyOf(capture);
  const roots = topology.functions.filter((f) => topology.parentOf(f) === null);
  return [
    `${capture.source}: ${capture.functions.length} functions, ${topology.hostBridges.length} PCI root(s)`,
    "",
    ...roots.flatMap((f) => branch(topology, f, "")),
    "",
    "Unknown:",
    ...capture.unknown.map((u) => `  ${u}`),
  ].join("\n");
}

function branch(topology: Topology, fn: PciFunction, indent: string): string[] {
  const bars = fn.bars.filter((b) => b.space === "memory").map((b) => `${indent}     ${barText(b)}`);
  return [
    `${indent}${fn.address} ${fn.name}${acsText(fn)}`,
    ...bars,
    ...topology.childrenOf(fn).flatMap((c) => branch(topology, c, `${indent}  `)),
  ];
}

function barText(bar: Bar): string {
  return `BAR ${bar.index}: ${hex(bar.base)}, ${sizeText(bar.sizeBytes)}${bar.enabled ? "" : ", disabled"}`;
}

function acsText({ acs }: PciFunction): string {
  if (acs === null) return "";
  if (acs === "unknown") return " [ACS unknown]";
  const set = Object.entries(acs.control).flatMap(([name, on]) => (on ? [name] : []));
  return ` [ACS ${set.join(" ") || "all off"}]`;
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
