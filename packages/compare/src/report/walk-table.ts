/** The page-table walks of one access: each entry that was read, where it lay, what it said, and where that led. */
import type { LookupEvidence } from "../evidence.js";
import { html, type Markup } from "./markup.js";
import { sizeText } from "./units.js";

export function walkTable(lookups: readonly LookupEvidence[]): Markup {
  return html`${lookups.map(lookup)}`;
}

function lookup({ step, table, address, physical, reason, entries, leafSizeBytes }: LookupEvidence): Markup {
  const end = physical === null ? html`<b>fault</b>: ${reason ?? "no entry"}` : html`<code>${physical}</code>`;
  const leaf = leafSizeBytes === null ? "" : `, by a leaf of ${sizeText(leafSizeBytes)}`;
  const caption = html`step ${step} · ${table}: <code>${address}</code> → ${end}${leaf}`;
  if (entries.length === 0)
    return html`<p class="walk">${caption}${physical !== null && ": a cache answered, no entry was read"}</p>`;
  return html`<table class="walk"><caption>${caption}</caption>
<thead><tr><th scope="col">level</th><th scope="col">index</th><th scope="col">entry at</th><th scope="col">value</th></tr></thead>
<tbody>${entries.map((e) => html`<tr><td>${e.level}</td><td>${e.index}</td><td><code>${e.at}</code></td><td><code>${e.value}</code></td></tr>`)}</tbody></table>`;
}
