// npm run bench [-- --write] [-- --only TEXT] [-- --once]: every figure a ratio of times in this run. Lower is faster than the baseline.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { core } from "./core.mjs";
import { loadNative } from "./native.mjs";
import { measure } from "./paired.mjs";
import { scatterlist } from "./scatterlist.mjs";

// --once only sees that every row runs.
const REPETITIONS = process.argv.includes("--once") ? 1 : 9;
const only = process.argv[process.argv.indexOf("--only") + 1] ?? "";
const wanted = process.argv.includes("--only") ? ({ name }) => name.includes(only) : () => true;

const native = loadNative();
const lists = scatterlist(native);
const results = [];
for (const row of [...core(), ...lists.rows].filter(wanted)) results.push(report(await measure(row, REPETITIONS)));
for (const row of lists.counted.filter(wanted)) results.push(report(row));
if (!native) console.log("No C compiler (set CC): the rows that have C as baseline are left out.");

function report(row) {
  const spread = row.low === undefined ? "counted" : `${figure(row.low)}–${figure(row.high)}`;
  const each = typeof row.each === "string" ? row.each : `${figure(row.each)} ns per ${row.unit}`;
  const goal =
    row.goal === undefined || REPETITIONS === 1 ? "" : `${row.ratio <= row.goal ? "≤" : "missed:"} ${figure(row.goal)}`;
  console.log(
    `${figure(row.ratio).padStart(7)}  ${spread.padEnd(14)} ${goal.padEnd(14)} ${row.name} / ${row.baselineName} (${each})`,
  );
  return { ...row, spread, each, goalText: goal };
}

function figure(value) {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(2);
}

if (process.argv.includes("--write")) {
  const lines = results.map(
    (r) => `| ${r.name} | ${r.baselineName} | **${figure(r.ratio)}** | ${r.spread} | ${r.goalText} | ${r.each} |`,
  );
  const text = `# Performance

Written by \`npm run bench -- --write\`. Every figure is a ratio of times, paired and interleaved in one run, the median of
${REPETITIONS}: below 1 is faster than the baseline. Nanoseconds are of one machine and say nothing about yours; ratios hold within 15 %.

| what | baseline | ratio | quartiles | goal | each |
|---|---|---|---|---|---|
${lines.join("\n")}

The C baselines are [bench/baseline.c](../bench/baseline.c), compiled with \`-O3\` and called in the same process.
`;
  writeFileSync(join(import.meta.dirname, "../docs/performance.md"), text);
}
