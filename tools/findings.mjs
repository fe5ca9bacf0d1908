// docs/findings.md and docs/contested.md: what the comparison says, from its own results. No number is written by hand.
import { compare, readScenarios, verdictText } from "../packages/compare/dist/index.js";
import { contestedPage } from "./findings/contested.mjs";
import { findingsPage } from "./findings/page.mjs";
import { Table } from "./findings/table.mjs";

/** @returns {Record<string, string>} the pages, by path */
export function findingPages() {
  const { results, contracts } = compare();
  const scenarios = readScenarios();
  return {
    "docs/findings.md": findingsPage(new Table(results, contracts), scenarios),
    "docs/contested.md": contestedPage(results, verdictText),
  };
}
