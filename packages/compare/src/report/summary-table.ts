import type { Result } from "../result.js";
import { html, type Markup } from "./markup.js";
import { summaryOf } from "./summary.js";

export function summaryTable(contracts: readonly string[], results: readonly Result[]): Markup {
  const lines = contracts.map((contract) => summaryOf(contract, results));
  return html`<div class="scroll" tabindex="0" role="region" aria-label="summary"><table id="summary">
<thead><tr><th scope="col" rowspan="2">contract</th><th scope="colgroup" colspan="5">cells without an injected fault</th><th scope="colgroup" colspan="2">injected faults</th><th scope="col" rowspan="2">not as<br>expected</th></tr>
<tr><th scope="col">cells</th><th scope="col">OK</th><th scope="col">the contract’s doing</th><th scope="col">exporter’s, importer’s</th><th scope="col">platform’s, nobody’s</th><th scope="col">cells</th><th scope="col">let through</th></tr></thead>
<tbody>${lines.map(
    (s) => html`<tr><th scope="row">${s.contract}</th><td>${s.cells}</td><td>${s.ok}</td>
<td class="main"><b>${s.blamed.contract}</b>${s.contractVerdicts.length > 0 && html` <span>${s.contractVerdicts.map(([v, n]) => `${n} ${v}`).join(", ")}</span>`}</td>
<td>${s.blamed.exporter + s.blamed.importer}</td><td>${s.blamed.platform + s.blamed.none}</td><td>${s.faults.cells}</td><td>${s.faults.contract}</td><td>${s.unexpected}${s.contested > 0 && ` (${s.contested} contested)`}</td></tr>`,
  )}</tbody></table></div>`;
}
