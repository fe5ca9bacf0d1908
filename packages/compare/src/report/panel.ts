/** Everything about one cell. */
import type { CatalogueRule, References } from "../references.js";
import type { Explanation, Result, Rule } from "../result.js";
import { verdictText } from "../scenario/verdict-text.js";
import type { Asked } from "./collect.js";
import { html, type Markup } from "./markup.js";
import { runSection } from "./run-section.js";
import { plural } from "./units.js";

export interface PanelInput {
  readonly result: Result;
  readonly asked: Asked;
  readonly runs: readonly Explanation[];
  readonly references: References;
  /** What runs the cell again. */
  readonly command: string;
}

export function panel({ result, asked, runs, references, command }: PanelInput): Markup {
  const { scenario, contract, title, exporter, importer, importerClass, binding } = result;
  const [conforming, posted] = (["conforming", "asPosted"] as const).map((run) => runs.find((r) => r.run === run));
  return html`<article data-c="${contract}">
<h2 tabindex="-1"><span>${scenario}</span> under <span>${contract}</span></h2>
<p class="title">${title}</p><p>${asked.question}</p>
<p class="who">${exporter} to ${importer}${importerClass && ` (${importerClass})`}, ${binding}. Source: ${asked.source}</p>
${verdicts(result, references)}
${decided("What decided", result.rule)}
${expectation(result, references)}
${conforming && runSection("The conforming run", conforming, command, true)}
${posted && runSection("The run as posted", posted, command, !conforming)}
</article>`;
}

function verdicts(result: Result, { implementations }: References): Markup {
  const { conforming, asPosted, implementation, blame, basis, schedules, unknown, fault } = result;
  const code = implementation === null ? "nobody posted that pair" : postedBy(implementation, implementations);
  return html`<dl>
<dt>conforming</dt><dd>${verdict(conforming)}</dd>
<dt>as posted</dt><dd>${verdict(asPosted)} <small>${code}</small></dd>
<dt>blame</dt><dd>${blame}</dd><dt>basis</dt><dd>${basis}</dd>
${fault && html`<dt>injected fault</dt><dd>${fault.party}: ${fault.what}</dd>`}
${schedules && html`<dt>orders</dt><dd>${plural(schedules.explored, "order")}, ${schedules.exhausted ? "all tried" : `not all: ${schedules.bound ?? "bounded"}`}</dd>`}
${unknown && html`<dt>unknown</dt><dd>assumed: ${unknown.assumed}. If not: ${verdict(unknown.otherwise)}</dd>`}
</dl>`;
}

/** Which code it is. An exporter's and an importer's are joined by a plus. */
function postedBy(ids: string, implementations: References["implementations"]): string {
  return ids
    .split("+")
    .map((id) => (implementations[id] ?? id).replace(/\.$/, ""))
    .join(" + ");
}

function verdict(v: Result["conforming"]): Markup {
  return html`<b class="v" data-v="${v.verdict}">${verdictText(v)}</b>`;
}

function decided(head: string, { kind, id, text, source }: Rule): Markup {
  return html`<h3>${head}</h3><p class="rule">${text}</p><p class="src"><span>${kind}</span> ${id}${source !== undefined && html` · ${source}`}</p>`;
}

function expectation(result: Result, { rules }: References): Markup | null {
  const { expected, asExpected, contested } = result;
  if (!expected) return null;
  const rule = expected.rule === undefined ? null : rules[expected.rule];
  const says = `${verdictText(expected.conforming)}, as posted ${verdictText(expected.asPosted)}, blame ${expected.blame}`;
  return html`<h3>What the catalogue expects</h3>
<p>${asExpected ? "As it ended" : html`<b>Otherwise</b>: ${says}`}${expected.why !== undefined && `. ${expected.why}`}</p>
${rule && follows(expected.rule as string, rule)}
${contested !== undefined && html`<p class="contested"><b>Contested.</b> ${contested}</p>`}`;
}

function follows(id: string, { text, source }: CatalogueRule): Markup {
  return html`<p class="src"><span>${id}</span> ${text}${source && ` · ${source}`}</p>`;
}
