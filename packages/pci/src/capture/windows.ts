/** What a bridge passes down. */
import type { BridgeWindow } from "../function.js";
import type { Notes } from "./notes.js";

/** Windows count in these units: a register holds no lower bits. */
const GRAIN: Readonly<Record<BridgeWindow["kind"], bigint>> = {
  io: 0x1000n,
  memory: 0x10_0000n,
  prefetchable: 0x10_0000n,
};

/** `null` for a closed window: its last byte is below its first, or its registers were never written. */
export function windowOf(
  kind: BridgeWindow["kind"],
  base: bigint,
  last: bigint,
  address: string,
  notes: Notes,
): BridgeWindow | null {
  if (last < base || (base === 0n && last === GRAIN[kind] - 1n)) return null;
  const what = `the ${kind} window of ${address}`;
  const from = notes.address(base.toString(16), what);
  return { kind, base: from, sizeBytes: notes.address(last.toString(16), what) - from + 1 };
}

/** The three windows of a type 1 header. */
export function registerWindows(view: DataView, address: string, notes: Notes): BridgeWindow[] {
  const memory = [view.getUint16(0x20, true), view.getUint16(0x22, true)] as const;
  const prefetchable = [view.getUint16(0x24, true), view.getUint16(0x26, true)] as const;
  const io = [view.getUint8(0x1c), view.getUint8(0x1d)] as const;
  const wide = (prefetchable[0] & 0xf) === 1;
  const wideIo = (io[0] & 0xf) === 1;
  const upper = (at: number): bigint => (wide ? BigInt(view.getUint32(at, true)) << 32n : 0n);
  const upperIo = (at: number): bigint => (wideIo ? BigInt(view.getUint16(at, true)) << 16n : 0n);
  const megabytes = (value: number): bigint => BigInt(value & 0xfff0) << 16n;
  const pages = (value: number): bigint => BigInt(value & 0xf0) << 8n;
  return [
    windowOf("io", upperIo(0x30) + pages(io[0]), upperIo(0x32) + pages(io[1]) + 0xfffn, address, notes),
    windowOf("memory", megabytes(memory[0]), megabytes(memory[1]) + 0xf_ffffn, address, notes),
    windowOf(
      "prefetchable",
      upper(0x28) + megabytes(prefetchable[0]),
      upper(0x2c) + megabytes(prefetchable[1]) + 0xf_ffffn,
      address,
      notes,
    ),
  ].filter((window) => window !== null);
}
