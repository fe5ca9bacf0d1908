/** What the reader can choose from: only values that some cell has. */
import { BASES, BLAMES, type Result, VERDICTS } from "../result.js";
import { html, type Markup } from "./markup.js";

export function filterBar(contracts: readonly string[], results: readonly Result[]): Markup {
  const packages = [...new Set(results.flatMap((r) => r.packages))].filter((p) => p !== "").toSorted();
  const verdicts = VERDICTS.filter((v) => results.some((r) => r.conforming.verdict === v || r.asPosted.verdict === v));
  return html`<form id="filters" role="search" aria-label="filter the matrix" hidden>
<label>find <input name="text" type="search" placeholder="id, title, verdict" autocomplete="off"></label>
${select("contract", contracts)}${select("package", packages, (p) => p.replace(/^@dma-buf\//, ""))}${select("verdict", verdicts)}
${select(
  "blame",
  BLAMES.filter((b) => results.some((r) => r.blame === b)),
)}${select(
  "basis",
  BASES.filter((b) => results.some((r) => r.basis === b)),
)}
${select("a", contracts, (c) => c, "differ")} ${select("b", contracts, (c) => c, "and")}
<label class="check"><input name="faults" type="checkbox" value="no"> no injected faults</label>
<label class="check"><input name="odd" type="checkbox" value="yes"> not as expected</label>
<button type="reset">clear</button><output id="count" aria-live="polite"></output></form>`;
}

function select(name: string, values: readonly string[], shown = (v: string): string => v, label = name): Markup {
  return html`<label>${label} <select name="${name}"><option value="">any</option>${values.map((v) => html`<option value="${v}">${shown(v)}</option>`)}</select></label>`;
}
