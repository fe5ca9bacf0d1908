// How the counts are printed, and what is said of them: each sentence is made of the numbers, and checked against them.
const number = (n) => n.toLocaleString("en-US");

/** `64 KiB` */
export function bytes(n) {
  const unit = Math.min(Math.floor(Math.log2(Math.max(n, 1)) / 10), 4);
  const value = n / 2 ** (10 * unit);
  return `${Number.isInteger(value) ? value : value.toFixed(2)} ${["B", "KiB", "MiB", "GiB", "TiB"][unit]}`;
}

const HEAD = [
  "buffer",
  "contract",
  "leaves",
  "entries written, cleared",
  "table pages",
  "exporter asked",
  "reservation held",
  "told",
  "flushes",
  "bytes kept",
];

/** A row for all contracts of one size that cost the same; the refusals behind. */
export function table(rows) {
  const lines = [HEAD, HEAD.map(() => "---")];
  for (const [sizeBytes, own] of groupBy(rows, (row) => row.sizeBytes)) {
    for (const [cells, same] of groupBy(
      own.filter((row) => row.use || row.notRun),
      cellsOf,
    ))
      lines.push([bytes(sizeBytes), same.map((row) => `\`${row.variant}\``).join(", "), ...cells.split("|")]);
  }
  const refused = groupBy(
    rows.filter((row) => row.refused),
    (row) => `\`${row.variant}\`: ${row.refused}`,
  );
  const refusals = [...refused.keys()].join("; ");
  return `${lines.map((line) => `| ${line.join(" | ")} |`).join("\n")}${refusals ? `\n\nRefused: ${refusals}.` : ""}`;
}

function cellsOf({ notRun, use, revoke, close, leaves, tables, keptBytes }) {
  if (notRun) return [`not run: ${number(notRun)} leaves`, ...Array(7).fill("")].join("|");
  const phases = [use, revoke, close].filter(Boolean);
  const sum = (name) => phases.reduce((n, phase) => n + phase[name], 0);
  const sizes = [...leaves].toSorted(([a], [b]) => a - b).map(([size, n]) => `${number(n)} × ${bytes(size)}`);
  const counts = [tables, sum("asked"), sum("locked"), sum("told"), sum("flushes")].map(number);
  return [sizes.join(", "), `${number(sum("written"))}, ${number(sum("cleared"))}`, ...counts, bytes(keptBytes)].join(
    "|",
  );
}

function groupBy(rows, key) {
  const groups = new Map();
  for (const row of rows) {
    const of = key(row);
    groups.set(of, [...(groups.get(of) ?? []), row]);
  }
  return groups;
}

export const INTRODUCTION = `# Costs

Written by \`npm run docs\`, and counted, not measured: each row is one run on the modelled machine, in which an importer
takes a buffer in, uses it from end to end, is told that it is revoked, and closes it. Nothing in a plugin counts; who counts
stands outside.

- **leaves**: what the importer's table has once everything was used, by size. RDMA has no page table: its entries are those of
  its translation table, which has one page size.
- **entries written, cleared**: 8 bytes each, those that lead to tables among them. Entries of a table that is given back
  count as cleared.
- **table pages**: of 4 KiB, the root's included.
- **exporter asked**: calls of its operations, from import to close: attach, map, unmap, get_pfn, a fault of a mapping,
  the private one of iommufd.
- **reservation held**: how often the buffer's or an address space's reservation was locked, by anybody.
- **told**: calls of the importer's invalidate. **flushes**: of the IOTLB, the guest's, the GPU's, the device's cache.
- **bytes kept**, once everything was used: table pages, 8 bytes for each entry of a translation table, 32 for each entry
  of a list that the exporter made, which is Linux's \`struct scatterlist\`, and 16 for each DMA mapping that the importer
  made out of page frames: it must know address and size to undo it. What else an importer notes for itself is not counted.

Both devices are below one switch, and default domains are identity: the DMA API writes no table. IOVAs and guest addresses
are aligned as the buffer is. Contracts in one row cost the same.`;

export const SCATTERED = `## RAM, no two pages in a row

A udmabuf whose pages lie one below the other, so that each leaf is one of 4 KiB. Nothing revokes it: these rows have no
revoke in them. One leaf a page is the law that the rows which ran follow; where they would be more than seconds allow,
the number of leaves is told and not run.`;

/** What one reads out of it. @throws if the numbers do not say so any more */
export function reading({ bar, ram }) {
  const row = (rows, name, sizeBytes, variant) =>
    rows
      .find(({ importer }) => importer.name === `importer-${name}`)
      .rows.find((r) => r.sizeBytes === sizeBytes && r.variant === variant);
  const served = bar.flatMap(({ rows }) => rows.filter((r) => r.use));
  must(
    served.every(({ revoke }) => revoke.told === 1 && revoke.flushes === 1),
    "one callback and one flush a revoke",
  );
  must(
    served.every(({ use }) => use.flushes === 0),
    "a second flush is that of closing",
  );
  // Two who count, one in memory and one in the walk: each leaf, and each table but the root, has an entry.
  const pages = ram.flatMap(({ rows }) => rows.filter((r) => r.use));
  must([...served, ...pages].every(isWhole), "an entry a leaf and a table");
  must(
    pages.every(({ leaves, sizeBytes }) => leaves.get(4096) === sizeBytes / 4096),
    "a leaf a page",
  );
  const [free, held, list] = ["pfn", "pfn-locked", "annotated-address"].map((v) => row(ram, "iommufd", 2 ** 21, v));
  must(free.use.asked === 512 && held.use.asked === 512 && list.use.asked === 1, "512 questions or one");
  must(free.use.locked - held.use.locked >= 511, "a lock a page");
  must(list.keptBytes - held.keptBytes === 512 * 32, "a list is kept");
  const [gpu, rdma] = ["gpu", "rdma"].map((name) => row(ram, name, 2 ** 21, "pfn-locked"));
  must(gpu.mapped === 512 && rdma.mapped === 512, "who does DMA keeps its mappings");
  return `## What one reads out of it

A revoke by itself is one callback and one flush, whatever the buffer's size, the importer and the contract; a second flush in
the tables is that of closing. Where memory is in one piece, the table is as small under each contract: the leaves follow
from alignment alone, if who maps is told whole runs.

What a contract costs shows where memory is scattered. For 2 MiB, iommufd asks \`pfn\` and \`pfn-locked\` for 512 page frames.
Until everything was used the lock was taken ${number(free.use.locked)} and ${number(held.use.locked)} times, and up to the close, as in the table, ${number(lockedIn(free))} and ${number(lockedIn(held))}:
a call that takes the lock itself takes it for each page. An exporter that maps is asked once, and its list of 512
entries is kept, ${bytes(list.keptBytes - held.keptBytes)}, for as long as the importer has the buffer. Who does DMA is not rid of a list by page frames: it
maps each for its device, and GPU and RDMA keep ${number(gpu.mapped)} mappings, ${bytes(gpu.mapped * 16)}, to undo them.${splitByList(row(bar, "kvm", 2 ** 36, "annotated-address"))}`;
}

/** From import to close, as the table has it. */
const lockedIn = ({ use, revoke, close }) => [use, revoke, close].reduce((n, phase) => n + (phase?.locked ?? 0), 0);

function isWhole({ use, leaves, tables }) {
  const ends = [...leaves.values()].reduce((a, b) => a + b);
  return use.written === ends + Math.max(tables - 1, 0);
}

function splitByList({ leaves, listed } = {}) {
  if (!leaves || [...leaves.keys()].every((size) => size === 2 ** 30)) return "";
  const small = [...leaves].reduce((n, [size, count]) => n + (size < 2 ** 30 ? count : 0), 0);
  return `

A list has its own cost: an entry of Linux's is at most 4 GiB less a page, so 64 GiB in one piece are ${listed} entries, and where
one ends no large leaf does. KVM, which maps out of one entry at a time, has ${number(small)} smaller leaves around those ends, where page
frames with their order give it 64 of 1 GiB.`;
}

function must(holds, what) {
  if (!holds) throw new Error(`docs/costs.md would say "${what}", and the numbers do not: change tools/costs/page.mjs`);
}
