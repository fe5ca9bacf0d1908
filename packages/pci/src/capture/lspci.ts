/** `lspci -v`, `-vv`, `-vvv`, with names or numbers, with bytes or without, as people save it, mail it and cut it. */
import type { PciFunction } from "../function.js";
import { busOffsets, type Seen, seenTwice } from "./bus-offset.js";
import type { Capture } from "./capture.js";
import { CaptureError } from "./capture-error.js";
import { type ConfigFacts, readConfig, type VirtualFunctions } from "./config-space.js";
import type { Draft } from "./draft.js";
import { finish, NO_FACTS } from "./finish.js";
import { type Block, blocksOf } from "./lspci-blocks.js";
import { type FunctionText, readFunction } from "./lspci-function.js";
import { readRows, withConfig } from "./lspci-hex.js";
import { Notes } from "./notes.js";
import { textLines } from "./text-lines.js";

const HOW = "Save the output of `sudo lspci -vvv` whole";

interface Read {
  readonly draft: Draft;
  readonly vfs: VirtualFunctions;
  readonly seen: readonly Seen[];
  readonly hasDetail: boolean;
  readonly hasBytes: boolean;
}

/**
 * Reads what is there. What is cut, folded or not understood is in {@link Capture.skipped}, and what is therefore not
 * known in {@link Capture.unknown}.
 * @throws CaptureError when no function is in the text, or what is there cannot be of one host
 */
export function parseLspci(text: string, source = "lspci text"): Capture {
  if (text.trim() === "") throw new CaptureError("EMPTY", source, "the file is empty", HOW);
  if (text.includes("\0")) throw new CaptureError("BINARY", source, "this is not text", `${HOW}, as text`);
  const notes = new Notes(source);
  const { lines, cut, endsFunction } = textLines(text);
  if (cut) notes.skip(`line ${cut.number}`, cut.text, "the text ends in the middle of it");
  const blocks = blocksOf(lines, notes);
  if (blocks.length === 0) throw noFunction(text, source);
  const reads = blocks.map((block, i) => readBlock(block, i === blocks.length - 1 && !endsFunction, notes));
  if (!reads.some((read) => read.hasDetail || read.hasBytes))
    throw new CaptureError("NAMES_ONLY", source, "it has the functions' names alone, no address and no bridge", HOW);
  return assembled(reads, notes);
}

function assembled(reads: readonly Read[], notes: Notes): Capture {
  const host = (functions: readonly PciFunction[]): Capture["host"] => ({
    ...NO_FACTS,
    // Groups are there only where the kernel has an IOMMU in use.
    iommu: functions.some((fn) => fn.iommuGroup !== null) ? "on" : "unknown",
    busOffsets: busOffsets(
      reads.flatMap((read) => read.seen),
      functions,
      notes,
    ),
  });
  const format = reads.some((read) => read.hasBytes) ? "lspci-hex" : "lspci";
  const vfs = new Map(reads.map((read) => [read.draft.address, read.vfs]));
  return finish({ format, drafts: reads.map((read) => read.draft), vfs, host }, notes);
}

function readBlock(block: Block, isLast: boolean, notes: Notes): Read {
  const bytes = readRows(block.rows, notes);
  // What lspci prints last: after it, nothing is missing.
  const isWhole = bytes.length > 0 || block.lines.some((line) => line.text.startsWith("Kernel "));
  const maybeCut = isLast && !isWhole;
  const text = readFunction(block, maybeCut, notes);
  const config = readConfig(bytes, block.address, notes);
  if (bytes.length > 0 && !config)
    notes.lacks(
      `configuration space of ${block.address}`,
      "it is cut, or reads as ones: the function sleeps or is gone",
      HOW,
    );
  const draft = config ? withConfig(text.draft, config, notes) : text.draft;
  noteFunction(draft, text, config, maybeCut, notes);
  return {
    draft,
    vfs: config?.vfs ?? text.said.vfs,
    seen: config ? seenTwice(draft, config.bars) : [],
    hasDetail: text.hasDetail,
    hasBytes: bytes.length > 0,
  };
}

function noteFunction(
  draft: Draft,
  { said }: FunctionText,
  config: ConfigFacts | null,
  maybeCut: boolean,
  notes: Notes,
): void {
  const { address } = draft;
  const detail = "sudo lspci -vvv";
  if (maybeCut) notes.lacks(`what else is in ${address}`, "the text ends with it, and no empty line follows", detail);
  if (draft.acs === "unknown" || draft.ats === "unknown" || draft.portType === "unknown")
    notes.lacks(`ACS, ATS and port type of ${address}`, whyHidden(said.accessDenied, config !== null), detail);
  if (said.unnumbered > 0)
    notes.lacks(`the BAR numbers of ${address}`, "lspci -v prints none: they are counted", detail);
  if (said.command === null && !config)
    notes.lacks(
      `COMMAND of ${address}`,
      "the capture has no Control: line of it: memory and bus master are taken to be on",
      detail,
    );
  const isBridge = draft.className === "PCI bridge" || (draft.classCode ?? 0) >>> 8 === 0x0604;
  if (isBridge && !draft.bridge)
    notes.lacks(`the buses of ${address}`, "the capture has no whole Bus: line of it", detail);
  if (said.losesWindows) notes.lacks(`the windows of ${address}`, "a line about them is cut", detail);
}

function whyHidden(accessDenied: boolean, hasConfig: boolean): string {
  if (accessDenied) return "lspci ran without the right to read capabilities";
  return hasConfig ? "the bytes end before the capability" : "lspci was not asked for them, or the text is cut";
}

function noFunction(text: string, source: string): CaptureError {
  const isTree = /^[-+ ]*-?\[[0-9a-f]{4}:[0-9a-f]{2}\]|\\-[0-9a-f]{2}\.[0-7]/m.test(text);
  const isMachineReadable = /^Slot:\t|^[0-9a-f:]{5,}\.[0-7] "/m.test(text);
  const problem = isTree
    ? "this is the tree of `lspci -t`, which has neither BARs nor ACS"
    : isMachineReadable
      ? "this is the list of `lspci -m`, which has neither BARs nor ACS"
      : "no line begins like a PCI function (01:00.0 VGA …: …)";
  return new CaptureError("NO_FUNCTION", source, problem, HOW);
}
