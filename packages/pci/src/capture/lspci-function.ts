/** One function out of lspci's lines about it. */
import type { Acs, Ats, Maybe } from "../function.js";
import type { Draft } from "./draft.js";
import type { Block } from "./lspci-blocks.js";
import { readLine } from "./lspci-rules.js";
import { type Said, silent } from "./lspci-said.js";
import type { Notes } from "./notes.js";
import type { Line } from "./text-lines.js";

export interface FunctionText {
  readonly draft: Draft;
  readonly said: Said;
  /** Did any line say something? Names alone are `lspci` without -v, or stand above bytes. */
  readonly hasDetail: boolean;
}

/** `maybeCut`: the text ends with this function, and lines of it may be missing. */
export function readFunction(block: Block, maybeCut: boolean, notes: Notes): FunctionText {
  const said = silent(block.address);
  for (const line of withoutRepeatedBars(block.lines)) {
    const problem = readLine(line.text, said, notes);
    if (problem !== null) notes.skip(`line ${line.number}`, line.text, `${problem}; about ${block.address}`);
  }
  const hasDetail = said.command !== null || said.hasCapabilities || said.bars.length > 0;
  const hidden = said.accessDenied || maybeCut || !hasDetail;
  return { draft: draftOf(block, said, hidden), said, hasDetail };
}

function draftOf({ address, header }: Block, said: Said, hidden: boolean): Draft {
  return {
    address,
    ...header,
    bars: said.bars,
    unsizedBars: said.unsizedBars,
    bridge: bridgeOf(said),
    acs: acsOf(said, hidden),
    ats: atsOf(said, hidden),
    portType: said.express ?? (hidden ? "unknown" : null),
    multiFunction: "unknown",
    driver: said.driver,
    iommuGroup: said.iommuGroup,
    numaNode: said.numaNode,
    physfn: null,
    // Drivers enable both: a line that is lost does not take a function off its bus.
    busMaster: said.command?.busMaster ?? true,
    memoryEnabled: memoryEnabled(said),
  };
}

/** Of one function shown twice: BARs without a number are in the second, or are those with one. */
function withoutRepeatedBars(lines: readonly Line[]): Line[] {
  const isUnnumbered = (text: string): boolean => /^(?:\[virtual\] )?(?:Memory|I\/O ports) at\b/.test(text);
  const hasNumbers = lines.some(({ text }) => text.startsWith("Region "));
  const seen = new Set<string>();
  return lines.filter(({ text }) => {
    if (!isUnnumbered(text)) return true;
    const repeats = hasNumbers || seen.has(text);
    seen.add(text);
    return !repeats;
  });
}

function bridgeOf({ buses, windows }: Said): Draft["bridge"] {
  if (!buses) return null;
  const [primary, secondary, subordinate] = buses;
  return { primary, secondary, subordinate, windows };
}

function acsOf({ acs: { capability, control }, hidesAcs }: Said, hidden: boolean): Maybe<Acs | null> {
  if (capability && control) return { capability, control };
  return hidden || hidesAcs || capability || control ? "unknown" : null;
}

function atsOf({ ats: { queueDepth, enabled }, hidesAts }: Said, hidden: boolean): Maybe<Ats | null> {
  if (queueDepth !== null && enabled !== null) return { queueDepth, enabled };
  return hidden || hidesAts || queueDepth !== null || enabled !== null ? "unknown" : null;
}

/** `Flags:` has no memory bit, but marks every BAR of a function that decodes none. */
function memoryEnabled({ command, bars }: Said): boolean {
  if (command?.memory !== null) return command?.memory ?? true;
  const memory = bars.filter((bar) => bar.space === "memory");
  return memory.length > 0 ? memory.some((bar) => bar.enabled) : command.busMaster;
}
