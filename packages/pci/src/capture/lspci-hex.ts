/** The bytes that `lspci -x`, `-xxx` and `-xxxx` print, and what they add to the text above them. */
import type { Maybe } from "../function.js";
import type { ConfigFacts } from "./config-space.js";
import type { Draft } from "./draft.js";
import type { Notes } from "./notes.js";
import type { Line } from "./text-lines.js";

const ROW_BYTES = 16;
const CONFIG_BYTES = 4096;

/** The bytes from 0 on without a gap; rows that do not fit on are noted. */
export function readRows(rows: readonly Line[], notes: Notes): Uint8Array {
  const bytes = new Uint8Array(CONFIG_BYTES);
  let length = 0;
  for (const row of rows) {
    const [label = "", values = ""] = row.text.split(": ");
    const offset = parseInt(label, 16);
    const found = values.split(" ").filter((value) => value.length === 2);
    const problem = problemOf(offset, found, bytes, length);
    if (problem) notes.skip(`line ${row.number}`, row.text, problem);
    if (problem && problem !== SHORT) continue;
    bytes.set(
      found.map((value) => parseInt(value, 16)),
      offset,
    );
    length = Math.max(length, offset + found.length);
  }
  return bytes.subarray(0, length);
}

const SHORT = "a row of fewer than 16 bytes: the text is cut";

function problemOf(offset: number, found: readonly string[], bytes: Uint8Array, length: number): string | null {
  if (offset % ROW_BYTES !== 0 || found.length > ROW_BYTES || offset + found.length > CONFIG_BYTES)
    return "no row of configuration space";
  if (offset > length) return "the rows before it are missing";
  const repeats = found.slice(0, length - offset);
  if (repeats.some((value, i) => bytes[offset + i] !== parseInt(value, 16))) return "an earlier row has other bytes";
  return found.length < ROW_BYTES ? SHORT : null;
}

/** Text has sizes and the CPU's addresses; bytes have what lspci was not asked to print. */
export function withConfig(draft: Draft, config: ConfigFacts, notes: Notes): Draft {
  const sized = new Set(draft.bars.map((bar) => bar.index));
  return {
    ...draft,
    vendor: draft.vendor ?? config.vendor,
    device: draft.device ?? config.device,
    classCode: config.classCode,
    unsizedBars: config.bars.filter((bar) => !sized.has(bar.index)),
    bridge: agreed(draft, config, notes),
    acs: surer(draft.acs, config.acs),
    ats: surer(draft.ats, config.ats),
    portType: surer(draft.portType, config.portType),
    multiFunction: config.multiFunction,
    busMaster: config.busMaster,
    memoryEnabled: config.memoryEnabled,
  };
}

function surer<T>(text: Maybe<T | null>, bytes: Maybe<T | null>): Maybe<T | null> {
  if (text !== null && text !== "unknown") return text;
  return bytes === "unknown" ? text : bytes;
}

function agreed({ address, bridge }: Draft, config: ConfigFacts, notes: Notes): Draft["bridge"] {
  if (!bridge || !config.bridge) return bridge ?? config.bridge;
  const { secondary, subordinate } = config.bridge;
  if (bridge.secondary !== secondary || bridge.subordinate !== subordinate)
    notes.skip(
      `the bytes of ${address}`,
      `secondary ${secondary}, subordinate ${subordinate}`,
      "the text says otherwise",
    );
  return bridge;
}
