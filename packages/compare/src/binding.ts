/** Finding the devices that play a scenario: on the host that was read where it has what they need, else in the catalogue. */
import { hex, type P2pMapType, PAGE_SIZE } from "@dma-buf/core";
import { type Bar, p2pVerdict, type PciFunction, type Topology } from "@dma-buf/pci";
import { frozen } from "./frozen.js";
import type { Scenario, Step } from "./scenario/scenario.js";
import { catalogueTopology, placesOf } from "./world/topology.js";

export interface Binding {
  readonly where: "host" | "catalogue";
  readonly topology: Topology;
  readonly exporter: string;
  readonly barIndex: number;
  /** Functions that do DMA, in the order of the scenario's importers; an IOAS's device stands for it. */
  readonly devices: readonly string[];
  /** In words. */
  readonly text: string;
}

/** The smallest BAR worth exporting: three pages around a hole need four. */
const BAR_BYTES_MIN = 16 * 4096;

export function bind(scenario: Scenario, host: Topology | null): Binding {
  const found = host ? onHost(scenario, host) : "was given no host";
  return typeof found === "string" ? inCatalogue(scenario, found) : found;
}

function onHost(scenario: Scenario, host: Topology): Binding | string {
  const { offset, forwards, modifiers } = scenario.topology;
  if (scenario.exporter.kind !== "vfio-pci") return `needs an exporter of the kind ${scenario.exporter.kind}`;
  const { bar: asked } = scenario.exporter.options;
  if (typeof asked === "number" && asked < PAGE_SIZE) return `needs a BAR of ${asked} bytes, less than a page`;
  const special = Object.entries(modifiers).filter(([name]) => name !== "vm");
  if (special.length > 0) return `needs ${special.map(inWords).join(", ")}`;
  if (scenario.importers.flatMap(placesOf).includes("apart"))
    return "needs a device of which one function is near and one is not";
  if (forwards !== "unknown") return `needs a root complex that is known ${forwards === "yes" ? "" : "not "}to forward`;
  const sizeBytes = bytesOf(scenario);
  const bars = exportable(host).filter(
    ({ fn, bar }) =>
      bar.sizeBytes >= sizeBytes && (host.hostBridgeOf(fn).busOffsetBytes !== 0) === (offset === "nonzero"),
  );
  for (const { fn, bar } of bars) {
    const devices = partners(scenario, host, fn);
    if (devices) return binding("host", host, fn, bar, devices);
  }
  return missing(scenario, bars.length > 0, sizeBytes);
}

/** Bits are few, and addresses and sizes are many. */
function inWords([name, value]: readonly [string, unknown]): string {
  if (typeof value !== "number") return value === true ? name : `${name} ${String(value)}`;
  return value <= 64 ? `${name} ${value} bit` : `${name} ${hex(value)}`;
}

/** What the host would have to have. */
function missing({ topology, importers }: Scenario, hasBar: boolean, sizeBytes: number): string {
  if (!hasBar && topology.offset === "nonzero") return "needs a bus offset, which this capture does not show";
  const bar = `a function that decodes a memory BAR of ${Math.ceil(sizeBytes / 1024)} KiB or more`;
  const wanted = devicesOf(importers);
  if (!hasBar || wanted === 0) return `needs ${bar}`;
  const others = wanted === 1 ? "another device" : `${wanted} other devices`;
  const route = topology.allowlisted === "yes" ? ", which the kernel lets reach it through the host bridge" : "";
  const where =
    topology.base === "T1" ? "below one switch, without ACS redirect between them" : `behind a port${route}`;
  return `needs ${bar} and ${others} that may master the bus, ${where}`;
}

/** How far into the BAR the steps reach: by the ranges that are exported, else by what is accessed. */
function bytesOf({ given, steps, readings }: Scenario): number {
  const args = [given, steps, ...readings.map((r) => r.steps ?? [])].flatMap(argsOf);
  const ranges = args.flatMap((a) => a.ranges ?? []);
  const ends = (ranges.length > 0 ? ranges : args).map(({ offset = 0, bytes = 0 }) => offset + bytes);
  return Math.max(BAR_BYTES_MIN, ...ends);
}

interface Range {
  readonly offset?: number;
  readonly bytes?: number;
}

function argsOf(steps: readonly Step[]): readonly (Range & { readonly ranges?: readonly Range[] })[] {
  return steps.flatMap((step) =>
    step.do === "race" ? Object.values(step.tasks).flatMap(argsOf) : [step.args as Range],
  );
}

/** Is there a port above it? What is integrated into the root complex has no path to speak of, and is nobody's first choice. */
function behindPort(host: Topology, fn: PciFunction): boolean {
  return host.parentOf(fn) !== null;
}

/** Functions with a BAR that can be exported: behind a port first, then largest first. */
function exportable(host: Topology): { fn: PciFunction; bar: Bar }[] {
  return host.functions
    .filter((fn) => fn.memoryEnabled && !fn.bridge)
    .flatMap((fn) =>
      fn.bars
        .filter((b) => b.space === "memory" && b.index <= 5 && b.enabled && b.sizeBytes >= BAR_BYTES_MIN)
        .map((bar) => ({ fn, bar })),
    )
    .toSorted(
      (a, b) => Number(behindPort(host, b.fn)) - Number(behindPort(host, a.fn)) || b.bar.sizeBytes - a.bar.sizeBytes,
    );
}

/** What the kernel must say of exporter and importer; `null`: the scenario does not ask. */
function wantedRoute({ topology }: Scenario): P2pMapType | null {
  if (topology.base === "T1") return "bus-address";
  return topology.allowlisted === "yes" ? "through-host-bridge" : null;
}

/** The other functions that the scenario needs besides the exporter's; `null` if there are too few. */
function partners(scenario: Scenario, host: Topology, exporter: PciFunction): string[] | null {
  const wanted = devicesOf(scenario.importers);
  const wants = wantedRoute(scenario);
  const able = host.functions.filter(
    (fn) =>
      fn.busMaster &&
      !fn.bridge &&
      behindPort(host, fn) &&
      fn !== exporter &&
      (wants === null || p2pVerdict(host, exporter, fn).mapType === wants) &&
      fn.address.slice(0, -1) !== exporter.address.slice(0, -1),
  );
  // A VM's memory slot takes any BAR; DMA needs an exporter that is behind a port too, so that requests have a way.
  if (wanted > 0 && !behindPort(host, exporter)) return null;
  return able.length < wanted ? null : able.slice(0, wanted).map((fn) => fn.address);
}

/** How many functions that do DMA the importers need: a VM's memory slot needs none. */
function devicesOf(importers: Scenario["importers"]): number {
  return importers.flatMap(placesOf).length;
}

function inCatalogue(scenario: Scenario, why: string): Binding {
  const { topology, exporter, importers, apart } = catalogueTopology(scenario);
  const fn = topology.get(exporter);
  const left = { near: [...importers], apart: [...apart] };
  const devices = scenario.importers.flatMap(placesOf).map((place) => left[place].shift() as string);
  const text = `${scenario.topology.base}: the scenario ${why}`;
  return binding("catalogue", topology, fn, fn.bars[0] as Bar, devices, text);
}

function binding(
  where: Binding["where"],
  topology: Topology,
  fn: PciFunction,
  bar: Bar,
  devices: readonly string[],
  why?: string,
): Binding {
  const text = why ?? [`BAR ${bar.index} of ${fn.address}`, ...devices].join(", ");
  // Whoever is given a device sees its function, and runs of other cells have the same.
  frozen(topology.functions);
  return { where, topology, exporter: fn.address, barIndex: bar.index, devices, text };
}
