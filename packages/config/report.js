// How a test reads a page of `compare --report`: the panels of a scenario are compressed.
import { gunzipSync } from "node:zlib";

/** The panels of `scenario`, as HTML. A page that has none is an error. */
export function panelsOf(page, scenario) {
  const [, coded] = new RegExp(`data-chunk="${scenario}">([^<]*)<`).exec(page) ?? [];
  if (coded === undefined) throw new Error(`the page has no panels of ${scenario}`);
  return gunzipSync(Buffer.from(coded, "base64")).toString();
}
