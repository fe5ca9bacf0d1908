/** Configuration space, as bytes: what a function says of itself. Offsets and bits are those of the PCI specifications. */
import type { PhysAddr } from "@dma-buf/core";
import {
  type Acs,
  type AcsBits,
  type Ats,
  type Bridge,
  type Maybe,
  type PortType,
  type UnsizedBar,
} from "../function.js";
import { type Capabilities, EXPRESS, extendedCapabilities, standardCapabilities } from "./capabilities.js";
import type { Notes } from "./notes.js";
import { registerWindows } from "./windows.js";

/** Addresses are those on the bus: registers know no other. */
export interface ConfigFacts {
  readonly vendor: number | null;
  readonly device: number | null;
  readonly classCode: number;
  readonly multiFunction: boolean;
  readonly busMaster: boolean;
  readonly memoryEnabled: boolean;
  readonly bars: readonly UnsizedBar[];
  readonly bridge: Bridge | null;
  /** `null`: no Express capability. */
  readonly portType: Maybe<PortType | null>;
  readonly acs: Maybe<Acs | null>;
  readonly ats: Maybe<Ats | null>;
  readonly vfs: VirtualFunctions | null;
}

/** Where a PF's VFs are: Routing IDs counted from its own. */
export interface VirtualFunctions {
  readonly count: number;
  readonly offset: number;
  readonly stride: number;
}

/** The header that every function has, and that everybody may read. */
export const HEADER_BYTES = 64;
const ACS = 0x0d;
const ATS = 0x0f;
const SR_IOV = 0x10;
const PORT_TYPES: Readonly<Record<number, PortType>> = {
  0: "endpoint",
  1: "endpoint",
  4: "root-port",
  5: "upstream-port",
  6: "downstream-port",
  7: "pci-bridge",
  8: "pci-bridge",
  9: "integrated",
  10: "integrated",
};
/** In the order of their bits. */
const ACS_BITS: readonly (keyof AcsBits)[] = [
  "SrcValid",
  "TransBlk",
  "ReqRedir",
  "CmpltRedir",
  "UpstreamFwd",
  "EgressCtrl",
  "DirectTrans",
];

/** `null` where the bytes are no function's: too few, or all ones, as a function that is asleep or gone reads. */
export function readConfig(bytes: Uint8Array, address: string, notes: Notes): ConfigFacts | null {
  const header = bytes.subarray(0, HEADER_BYTES);
  if (header.length < HEADER_BYTES || header.every((byte) => byte === 0xff)) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const standard = standardCapabilities(view);
  const extended = extendedCapabilities(view, standard);
  const command = view.getUint16(4, true);
  return {
    vendor: id(view, 0),
    device: id(view, 2),
    classCode: view.getUint32(8, true) >>> 8,
    multiFunction: (view.getUint8(14) & 0x80) !== 0,
    busMaster: (command & 4) !== 0,
    memoryEnabled: (command & 2) !== 0,
    bars: [...headerBars(view, address, notes), ...vfBars(view, extended, address, notes)],
    bridge: bridgeOf(view, address, notes),
    portType: portTypeOf(view, standard),
    acs: find(extended, ACS, 8, view, readAcs),
    ats: find(extended, ATS, 8, view, readAts),
    vfs: vfsOf(view, extended),
  };
}

/** A VF's own IDs read as all ones: its PF speaks for it. */
function id(view: DataView, offset: number): number | null {
  const value = view.getUint16(offset, true);
  return value === 0xffff ? null : value;
}

function portTypeOf(view: DataView, standard: Capabilities): Maybe<PortType | null> {
  return find(standard, EXPRESS, 4, view, (at) => PORT_TYPES[(view.getUint16(at + 2, true) >> 4) & 0xf] ?? "unknown");
}

/** What `read` makes of a capability; `null` where there is none, and unknown where it may lie beyond the bytes. */
function find<T>(
  { at, whole }: Capabilities,
  capability: number,
  sizeBytes: number,
  view: DataView,
  read: (offset: number, view: DataView) => T,
): Maybe<T | null> {
  const offset = at.get(capability);
  if (offset === undefined) return whole ? null : "unknown";
  return offset + sizeBytes <= view.byteLength ? read(offset, view) : "unknown";
}

function readAcs(at: number, view: DataView): Acs {
  const bits = (value: number): AcsBits =>
    Object.fromEntries(ACS_BITS.map((name, bit) => [name, ((value >> bit) & 1) === 1])) as unknown as AcsBits;
  return { capability: bits(view.getUint16(at + 4, true)), control: bits(view.getUint16(at + 6, true)) };
}

function readAts(at: number, view: DataView): Ats {
  return { queueDepth: view.getUint16(at + 4, true) & 0x1f, enabled: (view.getUint16(at + 6, true) & 0x8000) !== 0 };
}

const BAR_COUNT: Readonly<Record<number, number>> = { 0: 6, 1: 2, 2: 1 };

function headerBars(view: DataView, address: string, notes: Notes): UnsizedBar[] {
  return barsAt(view, 0x10, BAR_COUNT[headerType(view)] ?? 0, 0, address, notes);
}

/** The BARs that a PF holds for its VFs are numbered after its own and its ROM. */
function vfBars(view: DataView, { at }: Capabilities, address: string, notes: Notes): UnsizedBar[] {
  const offset = at.get(SR_IOV);
  if (offset === undefined || offset + 0x3c > view.byteLength) return [];
  return barsAt(view, offset + 0x24, 6, 7, address, notes);
}

function barsAt(
  view: DataView,
  offset: number,
  count: number,
  first: number,
  address: string,
  notes: Notes,
): UnsizedBar[] {
  const bars: UnsizedBar[] = [];
  for (let slot = 0; slot < count; slot++) {
    const low = view.getUint32(offset + 4 * slot, true);
    const wide = (low & 7) === 4 && slot + 1 < count;
    const high = wide ? view.getUint32(offset + 4 * slot + 4, true) : 0;
    const index = first + slot;
    const base = baseOf(low, high, (digits) => notes.address(digits, `BAR ${index} of ${address}`));
    if (base !== null) bars.push({ index, base, ...kindOf(low, wide) });
    if (wide) slot++;
  }
  return bars;
}

/** `null` for a register that holds no address: zero, or the ones that are written to learn a BAR's size. */
function baseOf(low: number, high: number, toAddress: (digits: string) => PhysAddr): PhysAddr | null {
  const mask = low & 1 ? ~0x3 : ~0xf;
  const value = (low & mask) >>> 0;
  if ((value === 0 && high === 0) || (value === mask >>> 0 && (high === 0 || high === 0xffff_ffff))) return null;
  return toAddress(high.toString(16) + value.toString(16).padStart(8, "0"));
}

function kindOf(low: number, wide: boolean): Omit<UnsizedBar, "index" | "base"> {
  const isIo = (low & 1) === 1;
  return { space: isIo ? "io" : "memory", prefetchable: !isIo && (low & 8) !== 0, bits: wide ? 64 : 32 };
}

function headerType(view: DataView): number {
  return view.getUint8(14) & 0x7f;
}

function bridgeOf(view: DataView, address: string, notes: Notes): Bridge | null {
  if (headerType(view) !== 1 && headerType(view) !== 2) return null;
  const [primary, secondary, subordinate] = [0x18, 0x19, 0x1a].map((at) => view.getUint8(at)) as [
    number,
    number,
    number,
  ];
  const windows = headerType(view) === 1 ? registerWindows(view, address, notes) : [];
  return { primary, secondary, subordinate, windows };
}

function vfsOf(view: DataView, { at }: Capabilities): VirtualFunctions | null {
  const offset = at.get(SR_IOV);
  if (offset === undefined || offset + 0x18 > view.byteLength) return null;
  const enabled = (view.getUint16(offset + 8, true) & 1) === 1;
  const [count, first, stride] = [0x10, 0x14, 0x16].map((field) => view.getUint16(offset + field, true));
  return enabled ? { count: count ?? 0, offset: first ?? 0, stride: stride ?? 0 } : null;
}
