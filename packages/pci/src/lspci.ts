/** `lspci -vvv` text, as people save it, mail it and cut it. */
import { addr, type PhysAddr } from "@dma-buf/core";
import { CaptureError } from "./capture-error.js";
import {
  type Acs,
  type AcsBits,
  type Bar,
  type Bridge,
  type BridgeWindow,
  NO_ACS_BITS,
  type PciFunction,
  type PortType,
} from "./function.js";

/** What was read, and what was not. */
export interface Capture {
  readonly source: string;
  readonly functions: readonly PciFunction[];
  /** Facts that the text does not hold and that answers depend on. */
  readonly unknown: readonly string[];
}

const HEADER = /^(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7]) (.+?): (.+)$/;
const REGION = /^Region (\d): (Memory|I\/O ports) at ([0-9a-f]+|<\w+>)(.*)$/;
const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const HOW = "Save the output of `sudo lspci -vvv` whole";

/** @throws CaptureError when the text is empty, binary, cut off, or holds no function or no memory BAR. */
export function parseLspci(text: string, source = "lspci text"): Capture {
  if (text.trim() === "") throw new CaptureError("EMPTY", source, "the file is empty", HOW);
  if (/[\0\uFFFD]/.test(text)) throw new CaptureError("BINARY", source, "this is not text", `${HOW}, as text`);
  const lines = text.split(/\r?\n/).map((line) => line.replace(/^(?:> ?)+/, ""));
  const blocks = split(lines);
  if (blocks.length === 0)
    throw new CaptureError("NO_FUNCTION", source, "no line begins like a PCI function (01:00.0 VGA …: …)", HOW);
  const unknown: string[] = [];
  const functions = blocks.map((block) => parseFunction(block, unknown));
  if (!text.endsWith("\n") || isCut(lines, blocks))
    throw new CaptureError("TRUNCATED", source, `the text ends in the middle of ${functions.at(-1)?.address}`, HOW);
  const missing = missingBus(functions);
  if (missing) throw new CaptureError("TRUNCATED", source, missing, HOW);
  if (!functions.some((f) => f.bars.some((b) => b.space === "memory")))
    throw new CaptureError("NO_BAR", source, "no function has a memory BAR", `${HOW}: without -v there are no BARs`);
  unknown.push(
    "whether the root complex forwards peer requests",
    "the IOMMU's mode",
    "the bus offset of the host bridges (taken as 0)",
  );
  return { source, functions, unknown };
}

interface Block {
  readonly header: RegExpExecArray;
  readonly lines: readonly string[];
}

function split(lines: readonly string[]): Block[] {
  const blocks: { header: RegExpExecArray; lines: string[] }[] = [];
  for (const line of lines) {
    const header = HEADER.exec(line);
    if (header) blocks.push({ header, lines: [] });
    else if (line.trim() !== "") blocks.at(-1)?.lines.push(line.trim());
  }
  return blocks;
}

function parseFunction({ header, lines }: Block, unknown: string[]): PciFunction {
  const [, domain = "0000", bus, device, fn, className = "", name = ""] = header;
  const address = `${domain}:${bus}:${device}.${fn}`;
  const control = lines.find((l) => l.startsWith("Control:")) ?? "";
  const ids = /\[([0-9a-f]{4}):([0-9a-f]{4})\]/.exec(name);
  const hidden = lines.some((l) => l.includes("<access denied>"));
  if (hidden) unknown.push(`capabilities of ${address}: lspci was not run as root`);
  return {
    address,
    className: className.replace(/ \[[0-9a-f]{4}\]$/, ""),
    name: name.replace(/ \(prog-if .*\)$/, "").replace(/ \(rev \w+\)$/, ""),
    vendor: ids ? parseInt(ids[1] as string, 16) : null,
    device: ids ? parseInt(ids[2] as string, 16) : null,
    bars: lines.flatMap(parseRegion),
    bridge: parseBridge(lines),
    acs: hidden ? "unknown" : parseAcs(lines),
    portType: parsePort(lines),
    driver: /^Kernel driver in use: (.+)$/.exec(lines.find((l) => l.startsWith("Kernel driver")) ?? "")?.[1] ?? null,
    busMaster: control.includes("BusMaster+"),
    memoryEnabled: control.includes("Mem+"),
  };
}

function parseRegion(line: string): Bar[] {
  const found = REGION.exec(line);
  const size = sizeOf(line);
  if (!found || size === null || (found[3] as string).startsWith("<")) return [];
  const [, index, kind, base, rest] = found as unknown as [string, string, string, string, string];
  return [
    {
      index: Number(index),
      space: kind === "Memory" ? "memory" : "io",
      base: addr<PhysAddr>(parseInt(base, 16)),
      sizeBytes: size,
      prefetchable: rest.includes(", prefetchable"),
      bits: rest.includes("64-bit") ? 64 : 32,
      enabled: !rest.includes("[disabled]"),
    },
  ];
}

function sizeOf(line: string): number | null {
  const found = /\[size=(\d+)([KMGT]?)\]/.exec(line);
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] as number) : null;
}

function parseBridge(lines: readonly string[]): Bridge | null {
  const bus = /^Bus: primary=([0-9a-f]+), secondary=([0-9a-f]+), subordinate=([0-9a-f]+)/;
  const found = lines.map((l) => bus.exec(l)).find((m) => m !== null);
  if (!found) return null;
  const [primary, secondary, subordinate] = found.slice(1).map((s) => parseInt(s, 16)) as [number, number, number];
  return { primary, secondary, subordinate, windows: lines.flatMap(parseWindow) };
}

function parseWindow(line: string): BridgeWindow[] {
  const found = /^(I\/O|Memory|Prefetchable memory) behind bridge: ([0-9a-f]+)-([0-9a-f]+)/.exec(line);
  if (!found) return [];
  const [base, last] = [parseInt(found[2] as string, 16), parseInt(found[3] as string, 16)];
  // A window that is closed is printed with its last byte below its first.
  if (last < base) return [];
  const kind = found[1] === "Memory" ? "memory" : found[1] === "I/O" ? "io" : "prefetchable";
  return [{ kind, base: addr<PhysAddr>(base), sizeBytes: last - base + 1 }];
}

function parseAcs(lines: readonly string[]): Acs | null {
  const capability = lines.find((l) => l.startsWith("ACSCap:"));
  const control = lines.find((l) => l.startsWith("ACSCtl:"));
  return capability && control ? { capability: bits(capability), control: bits(control) } : null;
}

function bits(line: string): AcsBits {
  const names = Object.keys(NO_ACS_BITS) as (keyof AcsBits)[];
  return Object.fromEntries(names.map((name) => [name, line.includes(`${name}+`)])) as unknown as AcsBits;
}

function parsePort(lines: readonly string[]): PortType {
  const line = lines.find((l) => /^Capabilities: \[\w+\] Express/.test(l)) ?? "";
  if (line.includes("Root Port")) return "root-port";
  if (line.includes("Upstream Port")) return "upstream-port";
  if (line.includes("Downstream Port")) return "downstream-port";
  if (line.includes("Root Complex Integrated")) return "integrated";
  if (line.includes("Endpoint")) return "endpoint";
  return lines.some((l) => l.startsWith("Bus: primary")) ? "pci-bridge" : line === "" ? "integrated" : "unknown";
}

/** Does the last line that says anything stop in the middle of a record whose end is known? */
function isCut(lines: readonly string[], blocks: readonly Block[]): boolean {
  const last = (lines.findLast((l) => l.trim() !== "") ?? "").trim();
  return (
    (last.startsWith("Region") && sizeOf(last) === null) ||
    /^[0-9a-f]{2}:[0-9a-f]{2}\.?[0-7]?$/.test(last) ||
    (HEADER.test(last) && blocks.some((b) => b.lines.length > 0))
  );
}

/** A bridge that is not at the end of its text promises a bus; functions on no bus that exists are a sign of a cut. */
function missingBus(functions: readonly PciFunction[]): string | null {
  const buses = new Set(functions.flatMap((f) => (f.bridge ? [`${f.address.slice(0, 4)}:${f.bridge.secondary}`] : [])));
  const roots = new Set(
    functions
      .filter((f) => f.portType === "root-port" || f.portType === "integrated")
      .map((f) => f.address.slice(0, 7)),
  );
  const lost = functions.find(
    (f) =>
      !roots.has(f.address.slice(0, 7)) &&
      !buses.has(`${f.address.slice(0, 4)}:${parseInt(f.address.slice(5, 7), 16)}`),
  );
  return lost ? `${lost.address} is on a bus that no bridge in the text leads to` : null;
}
