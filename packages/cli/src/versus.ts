/** Two cells of one scenario, as text: what both did last, and where they part. */
import type { Side, Versus } from "@dma-buf/compare";
import { eventLines, facts, ruleText } from "./explanation.js";
import type { Io } from "./io.js";
import { bold, hanging, painter, textWidth } from "./text.js";
import { untilDecided } from "./short-trace.js";
import { verdictText } from "./verdict.js";

/** Events that each side is shown with from where they part; what decided is among them in most runs. */
const EVENTS = 16;

export function renderVersus({ sides, orderOf, replayToken, common }: Versus, io: Io): string {
  const [first, second] = sides;
  const { scenario, title } = first.result;
  const names = `${first.result.contract} and ${second.result.contract}`;
  const longest = Math.max(first.trace.length, second.trace.length);
  const where =
    common === longest
      ? `${names} never part: ${common} events, and they differ by names alone.`
      : `${names} have ${common} ${common === 1 ? "event" : "events"} in common, in the order that is worst for ${orderOf} (${replayToken}).`;
  return [
    bold(io.colour, `${scenario}  ${title}`),
    ...hanging(where, textWidth(io), 2),
    ...(common > 0 && common < longest
      ? ["", bold(io.colour, "Both, last"), ...eventLines(first.trace.slice(common - 1, common), io)]
      : []),
    ...sides.flatMap((side) => ["", ...sideLines(side, common, io)]),
  ].join("\n");
}

function sideLines({ result, verdict, rule, trace }: Side, common: number, io: Io): string[] {
  const next = untilDecided(trace).slice(common, common + EVENTS);
  const more = trace.length - common - next.length;
  const worst = verdictText(result.conforming);
  const own = verdictText(verdict);
  return [
    bold(io.colour, result.contract),
    ...(next.length > 0 ? eventLines(next, io) : ["      the run is over"]),
    ...(more > 0 ? [`      ... and ${more} more`] : []),
    ...facts(
      [
        [
          "ends",
          `${painter(io.colour)(verdict.verdict, own)}${own === worst ? "" : `; in its own worst order ${worst}`}`,
        ],
        ["rule", ruleText(rule)],
      ],
      io,
    ),
  ];
}
