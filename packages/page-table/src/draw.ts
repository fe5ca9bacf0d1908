/** A walk as a picture of text: how the address is cut, what was read with each piece, and where it ended. */
import { hex } from "@dma-buf/core";
import { sizeText, stepText } from "./dump.js";
import { entryLog2, type Format } from "./format.js";
import { describe } from "./refuse.js";
import { addressBits, addressIn, type WalkResult } from "./walk.js";

/**
 * Draws a walk that was made for `va` over a table of so many levels. At most 80 columns for four levels.
 * @example
 * const memory = createTableMemory({ basePhys: addr<PhysAddr>(0x1000_0000), sizeBytes: 8 * 4096 });
 * const table = createPageTable(vtdSecondStage, memory);
 * const drawn = drawWalk(vtdSecondStage, table.levels, 0x5008, table.translate(0x5008, "read"));
 * drawn.split("\n")[0]; // "VT-d second stage, 4 levels: 0x5008"
 */
export function drawWalk(format: Format, levels: number, va: number, found: WalkResult): string {
  const lowest = found.steps.at(-1)?.level ?? levels - 1;
  const lines = found.steps.map((step) => {
    const isLast = step === found.steps.at(-1);
    return ` ${stepText(step)}  ${isLast ? end(found) : `table at ${hex(addressIn(format, step.entry))}`}`;
  });
  const head = `${format.title}, ${levels} levels: ${hex(va)}`;
  return [head, "", ...pieces(format, levels, lowest, va), "", ...lines, ...sum(format, found, va)].join("\n");
}

/** The bits of the address: an index for each level that was read, and what is left of it. */
function pieces(format: Format, levels: number, lowest: number, va: number): string[] {
  const columns: { readonly bits: string; readonly value: string; readonly name: string }[] = [];
  let high = addressBits(format, levels) - 1;
  for (let level = levels - 1; level >= lowest; level--) {
    const low = entryLog2(level);
    const index = Math.floor(va / 2 ** low) % 2 ** (high + 1 - low);
    columns.push({ bits: `${high} ${low}`, value: String(index), name: `level ${level}` });
    high = low - 1;
  }
  columns.push({ bits: `${high} 0`, value: hex(va % 2 ** (high + 1)), name: "offset" });
  const cells = columns.map(({ bits, value, name }) => {
    const [from = "", to = ""] = bits.split(" ");
    const width = Math.max(9, value.length);
    return {
      bits: `${from}${to.padStart(width - from.length)}`,
      line: "-".repeat(width + 2),
      value: value.padStart(width),
      name: name.padEnd(width),
    };
  });
  const rule = ` +${cells.map((c) => c.line).join("+")}+`;
  return [
    `   ${cells.map((c) => c.bits).join("   ")}`,
    rule,
    ` | ${cells.map((c) => c.value).join(" | ")} |`,
    rule,
    `   ${cells.map((c) => c.name).join("   ")}`,
  ].map((line) => line.trimEnd());
}

function end(found: WalkResult): string {
  if (found.kind === "fault") return `${found.reason}: ${found.detail}`;
  return `leaf of ${sizeText(found.leafSizeBytes)}: ${describe(found.protection)}`;
}

/** How the leaf's address and what is left of the input make the output. */
function sum(format: Format, found: WalkResult, va: number): string[] {
  const last = found.steps.at(-1);
  if (found.kind === "fault" || !last) return last ? [] : [` ${end(found)}`];
  const offset = va % found.leafSizeBytes;
  const base = hex(found.physical - offset);
  const coded = addressIn(format, last.entry) !== found.physical - offset;
  const size = coded ? ` (the entry's address, ${hex(addressIn(format, last.entry))}, codes the size)` : "";
  return ["", ` ${base} + ${hex(offset)} = ${hex(found.physical)}${size}`];
}
