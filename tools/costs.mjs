// docs/costs.md: what each importer costs in each contract, counted on the modelled machine by who watches it.
import { contracts } from "@dma-buf/core";
import { importers } from "./costs/importers.mjs";
import { measure } from "./costs/measure.mjs";
import { INTRODUCTION, reading, SCATTERED, table } from "./costs/page.mjs";
import { rowsModule } from "./costs/rows.mjs";

const SIZES = [2 ** 16, 2 ** 21, 2 ** 30, 2 ** 36, 2 ** 40];
/** Of one run; more is told, and not run. */
const LEAVES_MAX = 20_000;
/** Page by page everything is slower. */
const PAGES_MAX = 512;

/** @returns {Promise<Record<string, string>>} the page and its numbers, by their paths */
export async function costPages() {
  const counted = { bar: [], ram: [] };
  for (const importer of importers)
    for (const backing of ["bar", "ram"]) counted[backing].push({ importer, rows: await rowsOf(importer, backing) });
  const sections = (backing) => counted[backing].map(({ importer, rows }) => `### ${importer.title}\n\n${table(rows)}`);
  const parts = [
    INTRODUCTION,
    reading(counted),
    "## One BAR, in one piece",
    ...sections("bar"),
    SCATTERED,
    ...sections("ram"),
  ];
  return {
    "docs/costs.md": `${parts.join("\n\n")}\n`,
    "packages/compare/src/report/cost-rows.ts": rowsModule(counted),
  };
}

async function rowsOf(importer, backing) {
  const rows = [];
  for (const { id: variant } of contracts) {
    let last;
    for (const sizeBytes of SIZES) {
      const notRun = tooMany(last, sizeBytes, backing);
      const row = notRun ? { notRun } : await measure({ importer, variant, sizeBytes, backing });
      if (!row.refused || !last) rows.push({ sizeBytes, variant, ...row });
      if (row.refused) break;
      if (!notRun) last = { sizeBytes, leaves: [...row.leaves.values()].reduce((a, b) => a + b) };
    }
  }
  return rows.toSorted((a, b) => a.sizeBytes - b.sizeBytes);
}

/** How many leaves it would have, as many for each byte as the size that ran last; 0: few enough to run. */
function tooMany(last, sizeBytes, backing) {
  if (!last) return 0;
  const leaves = (last.leaves / last.sizeBytes) * sizeBytes;
  return leaves > (backing === "ram" ? PAGES_MAX : LEAVES_MAX) && leaves / last.leaves >= 2 && isByPage(last, backing)
    ? leaves
    : 0;
}

/** Does the last size say how the next one will be split? Where leaves are as large as they can be, it does not. */
function isByPage({ sizeBytes, leaves }, backing) {
  return backing === "ram" || leaves > sizeBytes / 2 ** 30 + 1024;
}
