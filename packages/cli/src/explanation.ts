/** One cell with its trace, as text. */
import type { Explanation, Result, Rule } from "@dma-buf/compare";
import type { TraceEvent } from "@dma-buf/core";
import { ordersText } from "./comparison/cell-lines.js";
import type { Io } from "./io.js";
import { beside, bold, painter, textWidth } from "./text.js";
import { isUnexpected, verdictText } from "./verdict.js";

/** What an event gets, however narrow the terminal is. */
const TEXT_MIN = 30;

export function renderExplanation({ result, run, replayToken, trace }: Explanation, io: Io): string {
  const posted = run === "asPosted";
  const verdict = posted ? result.asPosted : result.conforming;
  const rule = posted ? result.postedRule : result.rule;
  return [
    bold(io.colour, `${result.scenario}  ${result.title}`),
    ...facts(
      [
        [
          "contract",
          `${result.contract}, ${posted ? `as posted (${result.implementation})` : "the best plugins that conform"}`,
        ],
        ["verdict", `${painter(io.colour)(verdict.verdict, verdictText(verdict))}, blame: ${result.blame}`],
        ["rule", rule ? ruleText(rule) : ""],
        ["expected", expectedText(result)],
        ["on", `${result.topology === "host" ? "this host" : "the catalogue's topology"}: ${result.binding}`],
        ["fault", result.fault ? `on purpose, by the ${result.fault.party}: ${result.fault.what}` : ""],
        ["orders", ordersText(result) ?? ""],
        ["replay", replayToken],
      ],
      io,
    ),
    "",
    ...eventLines(trace, io),
  ].join("\n");
}

/** `text (kind id; source)`. */
export function ruleText({ kind, id, text, source }: Rule): string {
  return `${text} (${kind}: ${id}${source ? `; ${source}` : ""})`;
}

/** Lines of a label and what there is of it; what is empty is left out. */
export function facts(pairs: readonly (readonly [string, string])[], io: Io): string[] {
  return pairs.flatMap(([label, text]) => (text === "" ? [] : beside(`${label}:`.padEnd(10), text, textWidth(io))));
}

/** A line an event; step and task in front. Long ones go on below. */
export function eventLines(trace: readonly TraceEvent[], io: Io): string[] {
  const task = Math.max(...trace.map((e) => e.task.length));
  const kind = Math.max(...trace.map((e) => e.kind.length));
  return trace.flatMap((e) => {
    const label = `${String(e.step).padStart(4)}  ${e.task.padEnd(task)}  ${e.kind.padEnd(kind)}  `;
    return beside(label, e.text, Math.max(io.columns, label.length + TEXT_MIN));
  });
}

function expectedText(result: Result): string {
  const { expected, asExpected, contested } = result;
  if (!expected) return "nobody said what";
  const why = `basis: ${expected.basis}${expected.why ? `; ${expected.why}` : ""}`;
  if (asExpected) return `yes, ${why}`;
  const was = `${verdictText(expected.conforming)}, as posted ${verdictText(expected.asPosted)}, blame: ${expected.blame}`;
  return isUnexpected(result) ? `NO: ${was}; ${why}` : `contested: ${was}; ${why}; against it: ${contested}`;
}
