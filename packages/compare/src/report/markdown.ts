/** The comparison for a pull request: GitHub-flavoured, short enough for one comment. */
import { badness } from "../judge.js";
import type { Comparison, Result, Verdict } from "../result.js";
import { sameVerdict, verdictText } from "../scenario/verdict-text.js";
import { groupBy } from "./group-by.js";
import { isPostedBlamed } from "./blamed.js";
import { meaningsOf } from "./meanings.js";
import { type ContractSummary, summaryOf } from "./summary.js";
import { plural } from "./units.js";

/** GitHub takes 65,536 characters in a comment. */
const CHARS_MAX = 60_000;

export interface MarkdownOptions {
  readonly version?: string;
  /** What makes it again. */
  readonly command?: string;
}

/**
 * Rows in which contracts differ, the contract is to blame, or a cell ends otherwise than expected; then their details.
 * @example
 * renderMarkdown(compare({ scenarios: ["S34c"] }), { command: "dma-buf compare --scenario S34c" });
 */
export function renderMarkdown(comparison: Comparison, { version, command }: MarkdownOptions = {}): string {
  const { contracts, results, machine } = comparison;
  const rows = [...groupBy(results, (r) => r.scenario).values()];
  const told = rows.filter(isTelling);
  const made = [version && `version ${version}`, command && `\`${command}\``].filter(Boolean).join(" · ");
  const head = [
    "## dma-buf contracts compared",
    `On ${cell(machine)}: ${plural(rows.length, "scenario")}, ${plural(contracts.length, "contract")}.${made && `\n${made}`}`,
    "Conforming verdicts. Only what is the contract’s own doing counts against it; injected faults stand apart.",
    table(
      SUMMARY_HEAD,
      contracts.map((c) => summaryCells(summaryOf(c, results))),
    ),
    folded("What the verdicts mean", meaningLines(results)),
    `### ${told.length} of ${plural(rows.length, "scenario")} differ, or are bad`,
    ...(told.length > 0
      ? [
          table(
            ["scenario", ...contracts.map(code)],
            told.map((own) => rowCells(contracts, own)),
          ),
        ]
      : []),
  ].join("\n\n");
  return `${head}\n\n${within(told.map(details), CHARS_MAX - head.length).join("\n\n")}\n`;
}

const SUMMARY_HEAD = [
  "contract",
  "cells",
  "OK",
  "contract’s doing",
  "others’",
  "faults let through",
  "not as expected",
];

function summaryCells(s: ContractSummary): readonly string[] {
  const { exporter, importer, platform, none } = s.blamed;
  const verdicts = s.contractVerdicts.map(([v, n]) => `${n} ${v}`).join(", ");
  const own = s.blamed.contract === 0 ? "0" : `**${s.blamed.contract}** (${verdicts})`;
  const faults = `${s.faults.contract} of ${s.faults.cells}`;
  return [
    code(s.contract),
    `${s.cells}`,
    `${s.ok}`,
    own,
    `${exporter + importer + platform + none}`,
    faults,
    `${s.unexpected}`,
  ];
}

function isTelling(own: readonly Result[]): boolean {
  const [first] = own as [Result];
  return own.some((r) => r.blame === "contract" || !r.asExpected || !sameVerdict(r.conforming, first.conforming));
}

function rowCells(contracts: readonly string[], own: readonly Result[]): readonly string[] {
  const [first] = own as [Result];
  const cells = contracts.map((c) => own.find((r) => r.contract === c));
  return [`**${cell(first.scenario)}** ${cell(first.title)}`, ...cells.map((r) => (r ? short(r) : ""))];
}

/** The verdict, and as a note what there is to say of it. A good one says whose doing it is that the posted one is not. */
function short(result: Result): string {
  const { asPosted, blame } = result;
  return withNotes(result, isPostedBlamed(result) ? `${blame}: posted ${verdictText(asPosted)}` : blame);
}

function withNotes({ conforming, unknown, asExpected, contested }: Result, blame: string, posted = ""): string {
  const verdict = isBad(conforming) ? `**${verdictText(conforming)}**` : verdictText(conforming);
  const notes = [
    blame !== "none" && blame,
    unknown && `unknown, else ${verdictText(unknown.otherwise)}`,
    contested !== undefined && "contested",
    !asExpected && contested === undefined && "≠ expected",
  ].filter(Boolean);
  return `${verdict}${posted}${notes.length > 0 ? ` _${notes.join(", ")}_` : ""}`;
}

function details(own: readonly Result[]): string {
  const [first] = own as [Result];
  const lines = own.map((r) => {
    const posted = r.asPosted.verdict === "NA" ? "" : `, as posted ${verdictText(r.asPosted)}`;
    const orders = r.schedules
      ? ` ${plural(r.schedules.explored, "order")}, ${r.schedules.exhausted ? "all tried" : (r.schedules.bound ?? "not all tried")}.`
      : "";
    const contested = r.contested === undefined ? "" : ` **Contested:** ${text(r.contested)}`;
    return `- ${code(r.contract)}: ${withNotes(r, r.blame, posted)} (${r.basis}). ${text(r.rule.text)}.${orders}${contested}`;
  });
  return folded(text(`${first.scenario} ${first.title}`), lines);
}

function meaningLines(results: readonly Result[]): readonly string[] {
  return meaningsOf(results).map(({ verdict, means }) => `- **${verdict}**: ${means}`);
}

function folded(summary: string, lines: readonly string[]): string {
  return `<details><summary>${summary}</summary>\n\n${lines.join("\n")}\n\n</details>`;
}

/** As many, from the first on, as have room; and how many have not. */
function within(parts: readonly string[], charsMax: number): readonly string[] {
  let room = charsMax;
  const kept = parts.filter((part) => (room -= part.length + 2) > 0);
  const left = parts.length - kept.length;
  return left === 0
    ? kept
    : [...kept, `Details of ${plural(left, "more scenario")} are left out: \`--report report.html\` has all.`];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function isBad(verdict: Verdict): boolean {
  return badness(verdict) > badness({ verdict: "REFUSED" });
}

/** What others wrote, as text and nothing else: no markup, no HTML, and nobody is mentioned. */
function text(written: string): string {
  const one = written.replaceAll(/\s+/g, " ");
  return one
    .replaceAll(/[\\`*_[\]~#]/g, "\\$&")
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(/@(?=\w)/g, "@\u200b");
}

/** The same in a table, where a bar ends a cell. */
function cell(written: string): string {
  return text(written).replaceAll("|", "\\|");
}

function code(name: string): string {
  return `\`${name.replaceAll("`", "'").replaceAll("|", "\\|")}\``;
}
