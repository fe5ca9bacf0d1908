/** A capture as JSON: what `dma-buf capture` writes, and what may be edited by hand. */
import type { PciFunction } from "../function.js";
import { impossibleOffsets } from "./bus-offset.js";
import type { Capture, Cpu, HostFacts, Skipped, Unknown } from "./capture.js";
import { CaptureError } from "./capture-error.js";
import { check } from "./check.js";
import { Buses, busKey } from "../buses.js";
import { Field } from "./json-fields.js";
import { functionOf } from "./json-function.js";

const HOW = "Write it with `dma-buf capture`, on a host that has PCI functions";
const SCHEMA_VERSION = 1;
const ROOT = /^[0-9a-f]{4,8}:[0-9a-f]{2}$/i;

/** `captureFromJson` of the result equals `capture`. */
export function captureToJson(capture: Capture): string {
  const { source, format, host, functions, unknown, skipped } = capture;
  const maps = {
    domainTypes: Object.fromEntries(host.domainTypes),
    busOffsets: Object.fromEntries(host.busOffsets),
  };
  const value = {
    schemaVersion: SCHEMA_VERSION,
    source,
    format,
    host: { ...host, ...maps },
    functions: functions.map(plainFunction),
    unknown,
    skipped,
  };
  return `${JSON.stringify(value, null, 2)}\n`;
}

function plainFunction({ address, classCode, className, vendor, device, ...fn }: PciFunction): object {
  return {
    address,
    class: hex(classCode, 6),
    className,
    ...fn,
    vendor: hex(vendor, 4),
    device: hex(device, 4),
    bars: fn.bars.map(plainBase),
    unsizedBars: fn.unsizedBars.map(plainBase),
    bridge: fn.bridge && { ...fn.bridge, windows: fn.bridge.windows.map(plainBase) },
  };
}

function plainBase<T extends { readonly base: number }>(at: T): object {
  return { ...at, base: hex(at.base, 1) };
}

function hex(value: number | null, digits: number): string | null {
  return value === null ? null : `0x${value.toString(16).padStart(digits, "0")}`;
}

/**
 * `source` stands in messages; the capture keeps the name that was written.
 * @throws CaptureError naming the value's path, the value and the rule
 */
export function captureFromJson(text: string, source = "JSON"): Capture {
  const top = new Field(parsed(text, source), "", source);
  top.get("schemaVersion").oneOf(SCHEMA_VERSION);
  const functions = top.get("functions").items().map(functionOf);
  if (functions.length === 0) throw new CaptureError("NO_FUNCTION", source, "functions is empty", HOW);
  distinct(top.get("functions"), functions);
  check(functions, source);
  const host = hostOf(top.get("host"));
  checkOffsets(top.get("host").get("busOffsets"), host, functions);
  return {
    source: top.get("source").text(),
    format: top.get("format").oneOf("lspci", "lspci-hex", "sysfs", "json"),
    functions,
    host,
    unknown: top.get("unknown").items().map(unknownOf),
    skipped: top.get("skipped").items().map(skippedOf),
  };
}

function parsed(text: string, source: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CaptureError("JSON", source, `it is no JSON: ${(error as Error).message}`, "Save the file whole");
  }
}

function distinct(fields: Field, functions: readonly PciFunction[]): void {
  const seen = new Set<string>();
  for (const [i, field] of fields.items().entries()) {
    const { address } = functions[i] as PciFunction;
    if (seen.has(address)) throw field.get("address").refuse("an address that no other function has");
    seen.add(address);
  }
}

function checkOffsets(field: Field, { busOffsets }: HostFacts, functions: readonly PciFunction[]): void {
  const roots = impossibleOffsets(busOffsets, functions, new Buses(functions));
  for (const [key, offset] of field.entries())
    if (roots.has(rootName(key, offset))) throw offset.refuse("at most the address of every BAR below this root");
}

function hostOf(host: Field): HostFacts {
  return {
    cpu: host.get("cpu").orNull(cpuOf),
    kernelRelease: host.get("kernelRelease").orNull((f) => f.text()),
    commandLine: host.get("commandLine").orNull((f) => f.text()),
    iommu: host.get("iommu").oneOf("on", "off", "unknown"),
    domainTypes: new Map(
      host
        .get("domainTypes")
        .entries()
        .map(([group, type]) => [groupNumber(group, type), type.text()]),
    ),
    busOffsets: new Map(
      host
        .get("busOffsets")
        .entries()
        .map(([root, offset]) => [rootName(root, offset), anyInteger(offset)]),
    ),
  };
}

function cpuOf(cpu: Field): Cpu {
  return { vendor: cpu.get("vendor").text(), family: cpu.get("family").natural(), model: cpu.get("model").natural() };
}

function groupNumber(key: string, at: Field): number {
  if (!/^(?:0|[1-9]\d{0,8})$/.test(key)) throw at.refuse("named by the number of an IOMMU group");
  return Number(key);
}

function rootName(key: string, at: Field): string {
  if (!ROOT.test(key)) throw at.refuse("named by a root bus like 0000:00");
  return busKey(key, parseInt(key.slice(key.indexOf(":") + 1), 16));
}

function unknownOf(entry: Field): Unknown {
  return {
    what: entry.get("what").text(),
    because: entry.get("because").text(),
    capture: entry.get("capture").text(),
  };
}

function skippedOf(entry: Field): Skipped {
  return {
    where: entry.get("where").text(),
    text: entry.get("text").text(),
    because: entry.get("because").text(),
  };
}

function anyInteger(field: Field): number {
  return field.integer(-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
}
