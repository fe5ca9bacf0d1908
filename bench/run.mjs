// npm run bench [-- --write] [-- --only TEXT] [-- --once]: every figure a ratio of times in this run. Lower is faster
// than the baseline. TEXT is in the name of a row or of its group.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { core } from "./core.mjs";
import { loadNative } from "./native.mjs";
import { pageTable } from "./page-table.mjs";
import { measure } from "./paired.mjs";
import { pci } from "./pci.mjs";
import { scatterlist } from "./scatterlist.mjs";

const GROUPS = { core, "scatter lists": scatterlist, "page tables": pageTable, "peer to peer": pci };
const PAGE = join(import.meta.dirname, "../docs/performance.md");
const [BEGIN, END] = ["<!-- table: begin, written by `npm run bench -- --write` -->", "<!-- table: end -->"];

const [isOnce, isPart, isWritten] = ["--once", "--only", "--write"].map((flag) => process.argv.includes(flag));
const only = isPart ? process.argv[process.argv.indexOf("--only") + 1] : "";
// --once only sees that every row runs.
const REPETITIONS = isOnce ? 1 : 9;
if (isWritten && (isOnce || isPart)) throw new Error("--write writes the whole table: leave --once and --only out");

const native = loadNative();
const results = {};
for (const [title, make] of Object.entries(GROUPS)) results[title] = await run(title, make(native));
if (!native) console.log("No C compiler (set CC): the rows that have C as baseline are left out.");
if (isWritten) write();

async function run(title, { rows, counted }) {
  const wanted = ({ name }) => title.includes(only) || name.includes(only);
  const reports = [];
  if ([...rows, ...counted].some(wanted)) console.log(title);
  for (const row of rows.filter(wanted)) reports.push(report(await measure(row, REPETITIONS)));
  for (const row of counted.filter(wanted)) reports.push(report(row));
  return reports;
}

function report(row) {
  const isCounted = row.low === undefined;
  const spread = isCounted ? "counted" : `${figure(row.low)}–${figure(row.high)}`;
  const each = typeof row.each === "string" ? row.each : `${figure(row.each)} ns per ${row.unit}`;
  const goal = row.goal === undefined || (isOnce && !isCounted) ? "" : judged(row);
  // Counts are the same everywhere: one that misses its goal fails the run. Times are for people to look at.
  if (isCounted && row.ratio > row.goal) process.exitCode = 1;
  console.log(
    `${figure(row.ratio).padStart(7)}  ${spread.padEnd(14)} ${goal.padEnd(14)} ${row.name} / ${row.baselineName} (${each})`,
  );
  return { ...row, spread, each, goal };
}

function judged({ ratio, goal }) {
  return `${ratio <= goal ? "≤" : "missed:"} ${goal}`;
}

/** Ratios near 1 with a digit more, so that what missed its goal by little is seen to. */
function figure(value) {
  if (value >= 99.5) return value.toFixed(0);
  return value.toPrecision(value >= 1 && value < 9.995 ? 3 : 2);
}

function table(title, rows) {
  const lines = rows.map(
    (r) => `| ${r.name} | ${r.baselineName} | **${figure(r.ratio)}** | ${r.spread} | ${r.goal} | ${r.each} |`,
  );
  const head = "| what | baseline | ratio | quartiles | goal | each |\n|---|---|---|---|---|---|";
  return `### ${title[0].toUpperCase()}${title.slice(1)}\n\n${head}\n${lines.join("\n")}`;
}

/** Between the marks, and nothing else. */
function write() {
  const [before, rest] = readFileSync(PAGE, "utf8").split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`${PAGE} has no ${BEGIN} … ${END}`);
  const tables = Object.entries(results).map(([title, rows]) => table(title, rows));
  writeFileSync(PAGE, `${before}${BEGIN}\n\n${tables.join("\n\n")}\n\n${END}${after}`);
}
