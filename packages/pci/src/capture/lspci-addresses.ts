/** The lines of lspci that hold addresses: BARs, and what bridges pass down. */
import type { BridgeWindow, UnsizedBar } from "../function.js";
import type { Said } from "./lspci-said.js";
import type { Notes } from "./notes.js";
import { windowOf } from "./windows.js";

const UNITS: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };
const MIB = 2 ** 20;
const LAST_BAR = 5;
const LAST_VF_BAR = 12;

/** False for a line that is cut; a text for one that another line contradicts. */
export function readBar(
  [, number, virtual, kind, base = "", rest = ""]: RegExpExecArray,
  said: Said,
  notes: Notes,
): boolean | string {
  // Nothing is assigned: `<unassigned>`, `<ignored>`. There is a register, and no address.
  if (base.startsWith("<")) return true;
  const isMemory = kind === "Memory";
  const sizeBytes = sizeOf(rest);
  // Without these the line is cut, and its number may be half of one.
  if (isMemory ? !/^\([^)]*\)/.test(rest) : sizeBytes === null && !rest.startsWith("[")) return false;
  const index = number === undefined ? said.unnumbered : Number(number) + (said.inSriov ? 7 : 0);
  if (index > (said.inSriov ? LAST_VF_BAR : LAST_BAR)) return false;
  const bits = rest.includes("64-bit") ? 64 : 32;
  const address = notes.address(base, `BAR ${index} of ${said.address}`);
  if (number === undefined) said.unnumbered += bits / 32;
  const bar: UnsizedBar = {
    index,
    // IDE in compatibility mode: lspci takes its ports for memory.
    space: isMemory && !((virtual ?? rest.includes("[virtual]")) && address < MIB) ? "memory" : "io",
    base: address,
    prefetchable: rest.includes(", prefetchable"),
    bits,
  };
  return addBar(bar, sizeBytes, !/\[disabled\]/.test(rest), said);
}

function addBar(bar: UnsizedBar, sizeBytes: number | null, enabled: boolean, said: Said): boolean | string {
  const known = [...said.bars, ...said.unsizedBars].find((other) => other.index === bar.index);
  // The same function twice in one text: the second says the same, or is of another host or time.
  if (known) return known.base === bar.base || "shown before at another address";
  // An address of 0 with no size is a register that nobody wrote.
  if (sizeBytes !== null && sizeBytes > 0) said.bars.push({ ...bar, sizeBytes, enabled });
  else if (bar.base !== 0) said.unsizedBars.push(bar);
  return true;
}

function sizeOf(text: string): number | null {
  const found = /\[size=(\d+)([KMGT]?)\]/.exec(text);
  return found ? Number(found[1]) * (UNITS[found[2] ?? ""] as number) : null;
}

/** False for a line that is cut: half a number would make a window that is closed, or too small. */
export function readWindow([, name, text = ""]: RegExpExecArray, said: Said, notes: Notes): boolean {
  if (/^None$|\[(?:disabled|empty)\]/.test(text)) return true;
  const [, base = "", last = "", size = ""] = /^([0-9a-f]+)-([0-9a-f]+)((?: \[[\w=-]+\])*)$/i.exec(text) ?? [];
  // lspci pads both numbers alike; what it adds after them says that they are whole.
  if (base === "" || (base.length !== last.length && size === "")) {
    said.losesWindows = true;
    return false;
  }
  const kind = name === "I/O" ? "io" : name === "Memory" ? "memory" : "prefetchable";
  addWindow(kind, BigInt(`0x${base}`), BigInt(`0x${last}`), said, notes);
  return true;
}

/** A CardBus bridge's limit is its last page or its last four ports, not its last byte. */
export function readCardBusWindow(
  [line, name, base = "", last = ""]: RegExpExecArray,
  said: Said,
  notes: Notes,
): boolean {
  if (line.includes("[disabled]")) return true;
  if (base.length !== last.length) {
    said.losesWindows = true;
    return false;
  }
  const [kind, grain] = name === "I/O" ? (["io", 3n] as const) : (["memory", 0xfffn] as const);
  addWindow(kind, BigInt(`0x${base}`), BigInt(`0x${last}`) | grain, said, notes);
  return true;
}

function addWindow(kind: BridgeWindow["kind"], base: bigint, last: bigint, said: Said, notes: Notes): void {
  const window = windowOf(kind, base, last, said.address, notes);
  const isKnown = said.windows.some(
    (w) => w.kind === kind && w.base === window?.base && w.sizeBytes === window.sizeBytes,
  );
  if (window && !isKnown) said.windows.push(window);
}
