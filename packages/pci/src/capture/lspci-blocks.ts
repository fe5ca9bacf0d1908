/** lspci's text by function: a header, the lines under it, and bytes. */
import { matters } from "./lspci-rules.js";
import type { Notes } from "./notes.js";
import { canonical } from "../buses.js";
import type { Line } from "./text-lines.js";

export interface Header {
  readonly className: string;
  readonly name: string;
  readonly classCode: number | null;
  readonly vendor: number | null;
  readonly device: number | null;
}

export interface Block {
  readonly address: string;
  readonly header: Header;
  readonly lines: readonly Line[];
  readonly rows: readonly Line[];
}

const HEADER = /^(?:([0-9a-f]{4,8}):)?([0-9a-f]{2}:[01][0-9a-f]\.[0-7]) ([^"].*?): (.+)$/i;
const LIKE_HEADER = /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}(?:\.|$)/i;
const ROW = /^[0-9a-f]{2,3}:(?: [0-9a-f]{1,2})+$/i;

interface Open {
  readonly address: string;
  header: Header;
  readonly lines: Line[];
  readonly rows: Line[];
}

/** One block a function: where the text holds several of it, `lspci -vvv` and then `lspci -xxxx`, they are one. */
export function blocksOf(lines: readonly Line[], notes: Notes): Block[] {
  const blocks = new Map<string, Open>();
  const orphans: Line[] = [];
  let open: Open | null = null;
  for (const line of lines) {
    const header = HEADER.exec(line.text);
    if (header) open = opened(blocks, header);
    else if (LIKE_HEADER.test(line.text))
      notes.skip(`line ${line.number}`, line.text, "a function's first line, incomplete");
    else if (open) (ROW.test(line.text) ? open.rows : open.lines).push(line);
    else if (ROW.test(line.text) || matters(line.text)) orphans.push(line);
  }
  noteOrphans(orphans, notes);
  return [...blocks.values()];
}

/** The beginning of the text is lost, and with it the first line of the function that these are about. */
function noteOrphans(orphans: readonly Line[], notes: Notes): void {
  const [first] = orphans;
  if (!first) return;
  const count = orphans.length === 1 ? "1 line" : `${orphans.length} lines`;
  notes.skip(`line ${first.number}`, first.text, `${count} about a function before the first one that has a name`);
}

function opened(
  blocks: Map<string, Open>,
  [, domain = "0000", rest = "", kind = "", name = ""]: RegExpExecArray,
): Open {
  const address = canonical(`${domain}:${rest}`);
  const header = headerOf(kind, name);
  const known = blocks.get(address);
  if (known) {
    known.header = better(known.header, header);
    return known;
  }
  const block: Open = { address, header, lines: [], rows: [] };
  blocks.set(address, block);
  return block;
}

/** `VGA … [0300]: NVIDIA … [10de:1b80] (rev a1)`, or numbers alone: `0300: 10de:1b80 (rev a1)`. */
function headerOf(kind: string, rest: string): Header {
  const bare = rest.replace(/ \(prog-if .*$/, "").replace(/ \(rev \w+\)$/, "");
  const inName = /\[([0-9a-f]{4}):([0-9a-f]{4})\]/i.exec(bare);
  const alone = /^([0-9a-f]{4}):([0-9a-f]{4})$/i.exec(bare);
  const ids = inName ?? alone;
  const number = /^(?:Class )?\[?([0-9a-f]{4})\]?$/i.exec(kind);
  const code = number ?? /\[([0-9a-f]{4})\]$/i.exec(kind);
  const interfaceCode = /\(prog-if ([0-9a-f]{2})/i.exec(rest)?.[1] ?? "00";
  return {
    className: number ? "" : kind.replace(/ \[[0-9a-f]{4}\]$/i, ""),
    name: alone ? "" : bare.replace(/ \[[0-9a-f]{4}:[0-9a-f]{4}\]$/i, ""),
    classCode: code ? parseInt(`${code[1]}${interfaceCode}`, 16) : null,
    vendor: ids ? parseInt(ids[1] as string, 16) : null,
    device: ids ? parseInt(ids[2] as string, 16) : null,
  };
}

/** Names from the one, numbers from the other. */
function better(a: Header, b: Header): Header {
  return {
    className: a.className || b.className,
    name: a.name || b.name,
    classCode: a.classCode ?? b.classCode,
    vendor: a.vendor ?? b.vendor,
    device: a.device ?? b.device,
  };
}
