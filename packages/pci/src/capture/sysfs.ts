/** A host's sysfs, live or copied: /sys/bus/pci/devices and what the kernel says beside it. */
import { partsOf, type PciFunction } from "../function.js";
import { busOffsets, type Seen, seenTwice } from "./bus-offset.js";
import type { Capture } from "./capture.js";
import { CaptureError } from "./capture-error.js";
import { readConfig, type VirtualFunctions } from "./config-space.js";
import { busKey, canonical } from "../buses.js";
import { type Draft } from "./draft.js";
import { finish } from "./finish.js";
import { groupsOf, hostFacts } from "./host-facts.js";
import { Notes } from "./notes.js";
import { printable } from "./printable.js";
import { readResources } from "./resource.js";
import { baseName, type Tree, textAt } from "./tree.js";

const ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;
const ROOT = /^pci[0-9a-f]{4,8}:[0-9a-f]{2}$/;
/** How deep the directory that holds sys may lie in an archive. */
const MAX_DEPTH = 3;
const HOW =
  "Copy /sys/bus/pci/devices, /sys/devices and /sys/kernel/iommu_groups of the host, or run `dma-buf capture` on it";

/** @throws CaptureError when the tree has no PCI function, or what is there cannot be of one host */
export function captureTree(tree: Tree, source: string): Capture {
  const notes = new Notes(source);
  const sys = findSys(tree, "", MAX_DEPTH);
  const dirs = sys === null ? new Map<string, string>() : functionDirs(tree, sys);
  if (sys === null || dirs.size === 0)
    throw new CaptureError("NO_FUNCTION", source, "it has neither sys/bus/pci/devices nor sys/devices/pci*", HOW);
  const groups = groupsOf(tree, sys);
  const reads = [...dirs]
    .toSorted(byAddress)
    .flatMap(([address, dir]) => readDir(tree, dir, address, groups, notes) ?? []);
  if (reads.length === 0) throw new CaptureError("NO_FUNCTION", source, "no function in it has any file", HOW);
  const host = (functions: readonly PciFunction[]): Capture["host"] => ({
    ...hostFacts(tree, sys, functions),
    busOffsets: busOffsets(
      reads.flatMap((read) => read.seen),
      functions,
      notes,
    ),
  });
  const roots = new Set(
    (tree.list(`${sys}devices`) ?? [])
      .filter((name) => ROOT.test(name))
      .map((name) => busKey(name.slice(3), parseInt(name.slice(-2), 16))),
  );
  const vfs = new Map(reads.flatMap(({ draft, vfs: found }) => (found ? [[draft.address, found]] : [])));
  return finish({ format: "sysfs", drafts: reads.map((read) => read.draft), vfs, roots, host }, notes);
}

/** The directory that is /sys: at the top, or below a directory that was put around it. */
function findSys(tree: Tree, dir: string, depth: number): string | null {
  const isSys = (at: string): boolean =>
    tree.list(`${at}bus/pci/devices`) !== null || (tree.list(`${at}devices`)?.some((name) => ROOT.test(name)) ?? false);
  for (const at of [`${dir}sys/`, dir]) if (isSys(at)) return at;
  if (depth === 0) return null;
  for (const name of tree.list(dir) ?? []) {
    // /proc and /dev of a live host are long, and hold no sysfs. Links lead to what is found without them, or in circles.
    const isPassed = /^(?:proc|dev|sys|\..*)$/.test(name) || tree.link(`${dir}${name}`) !== null;
    const found = isPassed ? null : findSys(tree, `${dir}${name}/`, depth - 1);
    if (found !== null) return found;
  }
  return null;
}

function functionDirs(tree: Tree, sys: string): Map<string, string> {
  const dirs = new Map<string, string>();
  for (const name of tree.list(`${sys}devices`) ?? [])
    if (ROOT.test(name)) addBelow(tree, `${sys}devices/${name}`, dirs);
  // Links that lead nowhere are functions too: that they are empty is noted later.
  for (const name of tree.list(`${sys}bus/pci/devices`) ?? [])
    if (ADDRESS.test(name) && !dirs.has(canonical(name))) dirs.set(canonical(name), `${sys}bus/pci/devices/${name}`);
  return dirs;
}

/** A function's directory is in its bridge's. An address that comes again is a link back. */
function addBelow(tree: Tree, dir: string, dirs: Map<string, string>): void {
  for (const name of tree.list(dir) ?? []) {
    if (!ADDRESS.test(name) || dirs.has(canonical(name))) continue;
    dirs.set(canonical(name), `${dir}/${name}`);
    addBelow(tree, `${dir}/${name}`, dirs);
  }
}

interface Read {
  readonly draft: Draft;
  readonly vfs: VirtualFunctions | null;
  readonly seen: readonly Seen[];
}

function readDir(
  tree: Tree,
  dir: string,
  address: string,
  groups: ReadonlyMap<string, number>,
  notes: Notes,
): Read | null {
  const resource = textAt(tree, `${dir}/resource`);
  const bytes = tree.read(`${dir}/config`);
  const config = bytes && readConfig(bytes, address, notes);
  if (resource === null && !config && textAt(tree, `${dir}/class`) === null) {
    notes.skip(dir, address, "a function without resource, config and class: its directory was not copied");
    return null;
  }
  const { bars, windows } = readResources(resource ?? "", `${dir}/resource`, address, notes);
  const sized = new Set(bars.map((bar) => bar.index));
  const numbers = config?.bridge ?? busFiles(tree, dir, address);
  const draft: Draft = {
    address,
    ...identity(tree, dir),
    bars,
    unsizedBars: (config?.bars ?? []).filter((bar) => resource === null && !sized.has(bar.index)),
    bridge: numbers && { ...numbers, windows: resource === null ? numbers.windows : windows },
    acs: config?.acs ?? (config ? null : "unknown"),
    ats: config?.ats ?? (config ? null : "unknown"),
    portType: config ? config.portType : "unknown",
    multiFunction: config?.multiFunction ?? "unknown",
    driver: driverOf(tree, dir),
    iommuGroup: numberOf(linkName(tree, `${dir}/iommu_group`)) ?? groups.get(address) ?? null,
    numaNode: numaNode(tree, dir),
    physfn: physfnOf(tree, dir),
    // Drivers enable both: what cannot be read does not take a function off its bus.
    busMaster: config?.busMaster ?? true,
    memoryEnabled: config?.memoryEnabled ?? true,
  };
  if (!config)
    notes.lacks(
      `COMMAND of ${address}`,
      "its config is not there, or reads as ones: memory and bus master are taken to be on",
      "`dma-buf capture` as root, or sudo lspci -vvv",
    );
  noteFunction(draft, bytes?.length ?? 0, notes);
  return { draft, vfs: config?.vfs ?? null, seen: config ? seenTwice(draft, config.bars) : [] };
}

function noteFunction(draft: Draft, configBytes: number, notes: Notes): void {
  if (draft.acs !== "unknown" && draft.ats !== "unknown" && draft.portType !== "unknown") return;
  const because = configBytes === 0 ? "its config is not there" : `its config has ${configBytes} bytes: root reads all`;
  notes.lacks(`ACS, ATS and port type of ${draft.address}`, because, "`dma-buf capture` as root, or sudo lspci -vvv");
}

function identity(tree: Tree, dir: string): Pick<Draft, "className" | "name" | "classCode" | "vendor" | "device"> {
  const number = (file: string): number | null => numberOf(textAt(tree, `${dir}/${file}`));
  return { className: "", name: "", classCode: number("class"), vendor: number("vendor"), device: number("device") };
}

/** Newer kernels name the buses of a bridge in files too. */
function busFiles(tree: Tree, dir: string, address: string): Draft["bridge"] {
  const secondary = numberOf(textAt(tree, `${dir}/secondary_bus_number`));
  const subordinate = numberOf(textAt(tree, `${dir}/subordinate_bus_number`));
  if (secondary === null || subordinate === null) return null;
  return { primary: partsOf(address).bus, secondary, subordinate, windows: [] };
}

/** A copy that followed links has a directory for `driver`, and the name in `uevent`. */
function driverOf(tree: Tree, dir: string): string | null {
  const inEvent = /^DRIVER=(.+)$/m.exec(textAt(tree, `${dir}/uevent`) ?? "")?.[1] ?? null;
  return linkName(tree, `${dir}/driver`) ?? inEvent;
}

function physfnOf(tree: Tree, dir: string): string | null {
  const name = linkName(tree, `${dir}/physfn`);
  return name !== null && ADDRESS.test(name) ? canonical(name) : null;
}

function numaNode(tree: Tree, dir: string): number | null {
  const node = numberOf(textAt(tree, `${dir}/numa_node`));
  return node !== null && node >= 0 ? node : null;
}

function linkName(tree: Tree, path: string): string | null {
  const target = tree.link(path);
  return target === null ? null : printable(baseName(target));
}

function numberOf(text: string | null): number | null {
  const value = text !== null && /^(?:-?\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : null;
  return value !== null && Number.isSafeInteger(value) ? value : null;
}

function byAddress([a]: readonly [string, string], [b]: readonly [string, string]): number {
  const [x, y] = [partsOf(a), partsOf(b)];
  return x.domain - y.domain || x.bus - y.bus || x.device - y.device || x.fn - y.fn;
}
