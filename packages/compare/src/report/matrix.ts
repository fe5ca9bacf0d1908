/** Scenario by contract: a grid whose cells are links, so that it can be read, printed and used without its script. */
import type { Result } from "../result.js";
import { sameVerdict, verdictText } from "../scenario/verdict-text.js";
import { isPostedBlamed } from "./blamed.js";
import { groupBy } from "./group-by.js";
import { html, type Markup } from "./markup.js";

export function matrix(contracts: readonly string[], results: readonly Result[]): Markup {
  const rows = groupBy(results, (r) => r.scenario);
  return html`<table id="matrix" role="grid" aria-label="verdicts by scenario and contract">
<thead><tr role="row"><th role="columnheader" scope="col">scenario</th>${contracts.map((c) => html`<th role="columnheader" scope="col" data-c="${c}">${c}</th>`)}</tr></thead>
<tbody>${[...rows.values()].map((own) => line(contracts, own))}</tbody></table>`;
}

function line(contracts: readonly string[], own: readonly Result[]): Markup {
  const [first] = own as [Result];
  const { scenario, title, exporter, importer, fault } = first;
  const packages = [...new Set(own.flatMap((r) => r.packages))].join(" ");
  const who = `${exporter} → ${importer}${fault ? ` · fault: ${fault.what}` : ""}`;
  return html`<tr role="row" data-s="${scenario}" data-pkg="${packages}"${fault && html` data-fault`}><th role="rowheader" scope="row"><b>${scenario}</b> <span>${title}</span> <small>${who}</small></th>${contracts.map(
    (c) =>
      cell(
        c,
        own.find((r) => r.contract === c),
      ),
  )}</tr>`;
}

function cell(contract: string, result: Result | undefined): Markup {
  if (!result) return html`<td role="gridcell" data-c="${contract}"></td>`;
  const { scenario, conforming, asPosted, blame, basis, contested, unknown } = result;
  const text = verdictText(conforming);
  const posted = asPosted.verdict === "NA" || sameVerdict(asPosted, conforming) ? null : verdictText(asPosted);
  const who = blame !== "none" && html`<i>${blame}</i>`;
  return html`<td role="gridcell" data-c="${contract}" data-v="${conforming.verdict}" data-p="${asPosted.verdict}" data-b="${blame}" data-basis="${basis}" data-t="${text}"><a href="#${scenario}/${encodeURIComponent(contract)}" tabindex="-1" aria-label="${`${scenario} under ${contract}: ${spoken(result)}`}"><b>${words(text)}</b>${mark(result)}${!isPostedBlamed(result) && who}${unknown && html`<small>unknown; else ${words(verdictText(unknown.otherwise))}</small>`}${posted && html`<small>posted ${words(posted)}${isPostedBlamed(result) && who}</small>`}${contested !== undefined && html`<small>contested</small>`}</a></td>`;
}

/** A cell that does not end as the catalogue says, and nobody has said why. */
function mark({ asExpected, contested }: Result): Markup | null {
  return asExpected || contested !== undefined ? null : html`<abbr title="not as the catalogue expects">≠</abbr>`;
}

/** A long verdict may break where its parts meet. */
function words(text: string): readonly (Markup | string)[] {
  const parts = text.split(/(?=[(@,])/);
  return parts.flatMap((part, i) => (i === 0 ? [part] : [html`<wbr>`, part]));
}

function spoken(result: Result): string {
  const { conforming, asPosted, blame, unknown } = result;
  const who = blame === "none" ? "" : `, blame: ${blame}`;
  const otherwise = unknown ? `, unknown, else ${verdictText(unknown.otherwise)}` : "";
  const verdict = `${verdictText(conforming)}${otherwise}`;
  const posted = `as posted ${verdictText(asPosted)}`;
  return isPostedBlamed(result) ? `${verdict}; ${posted}${who}` : `${verdict}${who}; ${posted}`;
}
