/**
 * The report as one file that needs nothing else: no network, no server, no other file. The matrix is plain HTML; what belongs
 * to one cell is compressed by scenario and unpacked when somebody looks.
 */
import { readAsset } from "../assets.js";
import type { Explanation, Result } from "../result.js";
import { chunk } from "./chunk.js";
import type { Asked, Collected } from "./collect.js";
import { costPlots } from "./cost-plots.js";
import { filterBar } from "./filter-bar.js";
import { groupBy } from "./group-by.js";
import { html, type Markup, raw } from "./markup.js";
import { matrix } from "./matrix.js";
import { meaningsOf } from "./meanings.js";
import { panel } from "./panel.js";
import { summaryTable } from "./summary-table.js";
import { plural } from "./units.js";

export interface ReportInput extends Collected {
  /** Of the package that made it. */
  readonly version: string;
  /** What makes it again. */
  readonly command: string;
  /** What runs one cell again. @defaultValue `npx dma-buf explain`, with the scenario's and the contract's id */
  readonly explain?: (result: Result) => string;
}

const SCRIPTS = ["filters.js", "grid.js", "panel.js"] as const;
/** Nothing is asked of any network, whatever a plugin's texts say. */
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/**
 * The whole page. What others wrote is escaped; what is made twice of the same input is the same.
 * @example
 * const page = renderHtml({ ...collect({ scenarios: ["S34c"] }), version: "1.0.0", command: "dma-buf compare" });
 * writeFileSync("report.html", page);
 */
export function renderHtml(input: ReportInput): string {
  const { contracts, results } = input.comparison;
  const page = html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}"><meta name="color-scheme" content="light dark">
<title>dma-buf contracts on ${input.comparison.machine}</title>
<style>${raw(readAsset("report.css"))}</style></head>
<body><a class="skip" href="#matrix">to the matrix</a>
${header(input)}
<main><section id="overview"><h2>Summary</h2>${intro()}${meanings(results)}${summaryTable(contracts, results)}</section>
<section id="cells"><h2>Scenarios by contract</h2>${filterBar(contracts, results)}
<p class="hint">Conforming verdict and whose doing it is; below it the posted one where it differs.${results.some((r) => r.unknown) && " Unknown: a cell assumes what its panel says, and ends otherwise if that does not hold."} Arrow keys move, Enter opens, Esc closes.</p>
<div class="split">${matrix(contracts, results)}<aside id="panel" role="region" aria-label="cell" hidden><button type="button" id="close">close <kbd>Esc</kbd></button><div id="panel-body"></div></aside></div></section>
<section id="costs"><h2>How costs grow</h2>${costIntro()}<details><summary>plots</summary>${costPlots()}</details></section></main>
${footer()}
${chunksOf(input)}
${SCRIPTS.map((name) => html`<script type="module">${raw(readAsset(name))}</script>`)}
</body></html>
`;
  return page.text;
}

function header({ comparison, version, command }: ReportInput): Markup {
  const { contracts, results, machine } = comparison;
  const scenarios = new Set(results.map((r) => r.scenario)).size;
  return html`<header><h1>dma-buf contracts compared</h1>
<dl><dt>machine</dt><dd>${machine}</dd><dt>content</dt><dd>${plural(scenarios, "scenario")} × ${plural(contracts.length, "contract")}</dd>
<dt>version</dt><dd>${version}</dd><dt>reproduce</dt><dd><code>${command}</code></dd></dl></header>`;
}

function intro(): Markup {
  return html`<p>Two verdicts a cell. <b>Conforming</b>: one fixed pair of plugins, the best that obeys the contract; only it judges the contract.
<b>As posted</b>: the code that was posted or merged. Counted against a contract is only what is its own doing; scenarios in which an
exporter or importer breaks a rule on purpose stand apart. All of it was derived from bytes, faults, refusals and ledgers of a modelled machine.</p>`;
}

function meanings(results: readonly Result[]): Markup {
  const words = meaningsOf(results).map(
    ({ verdict, means }) => html`<dt><b class="v" data-v="${verdict}">${verdict}</b></dt><dd>${means}</dd>`,
  );
  return html`<details><summary>What the verdicts mean</summary><dl>${words}</dl></details>`;
}

function costIntro(): Markup {
  return html`<p>Counted, not measured: one run a point, from import to close. Both axes are logarithmic; the horizontal one is the size of the buffer.</p>`;
}

function footer(): Markup {
  return html`<footer><p>Not modelled: CPU memory ordering, time, power, a device’s own firmware. Between two schedule points nothing else runs. A row’s rule and source are in its cell.</p></footer>`;
}

function chunksOf({
  comparison,
  explanations,
  scenarios,
  references,
  explain = byIds,
}: ReportInput): readonly Markup[] {
  const runs = groupBy(explanations, (e) => cellOf(e.result));
  const panelOf = (result: Result, asked: Asked): Markup =>
    panel({ result, asked, runs: runs.get(cellOf(result)) ?? NO_RUNS, references, command: explain(result) });
  return [...groupBy(comparison.results, (r) => r.scenario)].map(([id, own]) => {
    const asked = scenarios.find((s) => s.id === id) as Asked;
    return chunk(
      id,
      own.map((result) => panelOf(result, asked)),
    );
  });
}

function byIds({ scenario, contract }: Result): string {
  return `npx dma-buf explain ${scenario} --contract ${contract}`;
}

const NO_RUNS: readonly Explanation[] = [];

function cellOf({ scenario, contract }: Result): string {
  return `${scenario}/${contract}`;
}
