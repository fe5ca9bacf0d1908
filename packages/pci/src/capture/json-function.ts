/** A function out of JSON. */
import {
  type Acs,
  type AcsBits,
  type Ats,
  type Bar,
  type Bridge,
  type BridgeWindow,
  NO_ACS_BITS,
  type PciFunction,
  type UnsizedBar,
} from "../function.js";
import { canonical } from "../buses.js";
import type { Field } from "./json-fields.js";

/** The highest bus number. */
const LAST_BUS = 255;
const ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/i;

/** @throws CaptureError naming the value that cannot be */
export function functionOf(fn: Field): PciFunction {
  return {
    address: addressOf(fn.get("address")),
    classCode: fn.get("class").orNull((f) => f.hex(0xff_ffff)),
    className: fn.get("className").text(),
    name: fn.get("name").text(),
    vendor: fn.get("vendor").orNull((f) => f.hex(0xffff)),
    device: fn.get("device").orNull((f) => f.hex(0xffff)),
    bars: fn.get("bars").items().map(barOf),
    unsizedBars: fn.get("unsizedBars").items().map(unsizedBarOf),
    bridge: fn.get("bridge").orNull(bridgeOf),
    acs: fn.get("acs").orUnknown((f) => f.orNull(acsOf)),
    ats: fn.get("ats").orUnknown((f) => f.orNull(atsOf)),
    portType: fn
      .get("portType")
      .oneOf("root-port", "upstream-port", "downstream-port", "endpoint", "pci-bridge", "integrated", "unknown"),
    multiFunction: fn.get("multiFunction").orUnknown((f) => f.flag()),
    driver: fn.get("driver").orNull((f) => f.text()),
    iommuGroup: fn.get("iommuGroup").orNull((f) => f.natural()),
    numaNode: fn.get("numaNode").orNull((f) => f.natural()),
    physfn: fn.get("physfn").orNull(addressOf),
    busMaster: fn.get("busMaster").flag(),
    memoryEnabled: fn.get("memoryEnabled").flag(),
  };
}

function addressOf(field: Field): string {
  return canonical(field.matching(ADDRESS, "a PCI address like 0000:01:00.0"));
}

function unsizedBarOf(bar: Field): UnsizedBar {
  return {
    index: bar.get("index").integer(0, 12),
    space: bar.get("space").oneOf("memory", "io"),
    base: bar.get("base").address(),
    prefetchable: bar.get("prefetchable").flag(),
    bits: bar.get("bits").oneOf(32, 64),
  };
}

function barOf(bar: Field): Bar {
  return { ...unsizedBarOf(bar), sizeBytes: sizeOf(bar), enabled: bar.get("enabled").flag() };
}

function bridgeOf(bridge: Field): Bridge {
  const bus = (key: string): number => bridge.get(key).integer(0, LAST_BUS);
  const windows = bridge.get("windows").items().map(windowOf);
  return { primary: bus("primary"), secondary: bus("secondary"), subordinate: bus("subordinate"), windows };
}

function windowOf(window: Field): BridgeWindow {
  return {
    kind: window.get("kind").oneOf("memory", "prefetchable", "io"),
    base: window.get("base").address(),
    sizeBytes: sizeOf(window),
  };
}

function sizeOf(field: Field): number {
  return field.get("sizeBytes").integer(1, Number.MAX_SAFE_INTEGER);
}

function acsOf(acs: Field): Acs {
  return { capability: acsBits(acs.get("capability")), control: acsBits(acs.get("control")) };
}

function acsBits(bits: Field): AcsBits {
  return Object.fromEntries(
    Object.keys(NO_ACS_BITS).map((name) => [name, bits.get(name).flag()]),
  ) as unknown as AcsBits;
}

function atsOf(ats: Field): Ats {
  return { enabled: ats.get("enabled").flag(), queueDepth: ats.get("queueDepth").integer(0, 31) };
}
