/** One run of a cell: where its bytes went, the tables that were walked for them, what happened in order, and how to run it again. */
import type { AccessEvidence } from "../evidence.js";
import type { Explanation } from "../result.js";
import { html, type Markup } from "./markup.js";
import { sequence } from "./sequence.js";
import { topologyDrawing } from "./topology-drawing.js";
import { plural, sizeText } from "./units.js";
import { walkTable } from "./walk-table.js";

/** Drawings a run: the last ones. */
const ACCESSES_MAX = 24;

/** @param command what runs the cell again, without `--posted` */
export function runSection(title: string, explanation: Explanation, command: string, isOpen: boolean): Markup {
  const { evidence, trace } = explanation;
  return html`<details class="run"${isOpen && html` open`}><summary>${title}</summary>
<h3>The path of the bytes</h3>
${paths(evidence)}
<h3>What happened, ${plural(trace.length, "event")}</h3>
<div class="scroll" tabindex="0" role="region" aria-label="sequence diagram">${sequence(trace)}</div>
<h3>Run it again</h3>
${again(explanation, command)}</details>`;
}

/** The last access decides, and is open. */
function paths({ topology, accesses }: Explanation["evidence"]): Markup {
  if (accesses.length === 0) return html`<p>Nothing was accessed.</p>${topologyDrawing(topology, null)}`;
  const shown = accesses.slice(-ACCESSES_MAX);
  const left = accesses.length - shown.length;
  const last = shown.length - 1;
  return html`${left > 0 && html`<p>${plural(left, "earlier access", "earlier accesses")} left out.</p>`}${shown.map((access, i) => html`<details class="access"${i === last && html` open`}><summary>${told(access)}</summary>${topologyDrawing(topology, access)}${hops(access)}${walkTable(access.lookups)}</details>`)}`;
}

function told({ by, access, sizeBytes, address, physical, target, reason, sentStep, step }: AccessEvidence): Markup {
  const way = physical === null ? html`<b>${reason ?? "lost"}</b>` : html`<code>${physical}</code>, ${target}`;
  return html`step ${sentStep === step ? step : `${sentStep} to ${step}`}: ${by} ${access === "read" ? "reads" : "writes"} ${sizeText(sizeBytes)}${address !== null && html` at <code>${address}</code>`} → ${way}`;
}

function hops({ hops: list }: AccessEvidence): Markup | null {
  return list.length === 0
    ? null
    : html`<ol class="hops">${list.map(({ at, action }) => html`<li><code>${at}</code> ${action}</li>`)}</ol>`;
}

function again({ run, replayToken }: Explanation, command: string): Markup {
  const posted = run === "asPosted" ? " --posted" : "";
  return html`<pre class="cmd">${command}${posted}</pre><p>This order alone, in code: <code class="token">replay(${JSON.stringify(replayToken)})</code></p>`;
}
