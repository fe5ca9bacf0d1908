/** Panels by scenario, compressed: what is not looked at costs a reader nothing, and six traces of one scenario are much alike. */
import { gzipSync } from "node:zlib";
import { html, type Markup, raw } from "./markup.js";

/** The script decodes it with `DecompressionStream` when a cell of the scenario is opened. */
export function chunk(scenario: string, panels: readonly Markup[]): Markup {
  const text = panels.map((p) => p.text).join("\n");
  const coded = gzipSync(text, { level: 9 }).toString("base64");
  return html`<script type="application/gzip;base64" data-chunk="${scenario}">${raw(coded)}</script>`;
}
