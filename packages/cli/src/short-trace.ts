/** The part of a trace that decides, and as much of it as there is room for. */
import type { TraceEvent, TraceKind } from "@dma-buf/core";

/** The run is over with the last of these; after them everybody gives back what they have. */
const DECISIVE: readonly TraceKind[] = ["access", "refused", "finding"];
/** What goes first when there is too much, in that order. */
const LESS: readonly ((event: TraceEvent) => boolean)[] = [
  ({ task }) => task === "set-up",
  ({ kind }) => kind === "tracepoint",
  ({ kind }) => kind === "route",
  ({ kind, task }) => task === "main" && (kind === "lock" || kind === "unlock"),
  ({ kind }) => kind === "walk" || kind === "store",
  ({ kind }) => kind === "lock" || kind === "unlock",
];

export function untilDecided(trace: readonly TraceEvent[]): readonly TraceEvent[] {
  const last = trace.findLastIndex(({ kind }) => DECISIVE.includes(kind));
  return last === -1 ? trace : trace.slice(0, last + 1);
}

/** At most `max` events, the decisive one among them. */
export function shortTrace(trace: readonly TraceEvent[], max: number): readonly TraceEvent[] {
  let events = untilDecided(trace);
  for (const isLess of LESS) {
    if (events.length <= max) break;
    events = events.filter((event) => !isLess(event));
  }
  return events.slice(-max);
}
