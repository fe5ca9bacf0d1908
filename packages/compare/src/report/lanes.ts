/** A trace as lanes side by side: one a task, then the plugins that are entered, the locks and the fences. */
import type { TraceEvent } from "@dma-buf/core";
import { type Subject, subjectOf } from "./subject.js";

export interface Lane {
  readonly kind: "task" | Subject["kind"];
  readonly name: string;
}

export interface LaneRow {
  readonly event: TraceEvent;
  /** Index of the task's lane. */
  readonly from: number;
  /** Index of the lane that it reaches, and which way the arrow points; `null`: it stays in its own. */
  readonly to: { readonly lane: number; readonly points: "there" | "back" } | null;
  /** Lanes of locks that are held when it is over. */
  readonly held: readonly number[];
}

export interface Lanes {
  readonly lanes: readonly Lane[];
  readonly rows: readonly LaneRow[];
}

const ORDER: readonly Lane["kind"][] = ["task", "plugin", "lock", "fence"];

export function lanesOf(trace: readonly TraceEvent[]): Lanes {
  const lanes = foundIn(trace);
  const indexOf = (kind: Lane["kind"], name: string): number =>
    lanes.findIndex((l) => l.kind === kind && l.name === name);
  const held = new Set<number>();
  const rows = trace.map((event): LaneRow => {
    const subject = subjectOf(event);
    const from = indexOf("task", event.task);
    if (!subject) return { event, from, to: null, held: [...held] };
    const lane = indexOf(subject.kind, subject.name);
    if (subject.does === "takes") held.add(lane);
    if (subject.does === "gives") held.delete(lane);
    return { event, from, to: { lane, points: subject.does === "gives" ? "back" : "there" }, held: [...held] };
  });
  return { lanes, rows };
}

/** In the order of {@link ORDER}, and within one kind in that of their first appearance. */
function foundIn(trace: readonly TraceEvent[]): readonly Lane[] {
  const lanes = new Map<string, Lane>();
  const add = (lane: Lane): unknown => lanes.set(`${lane.kind} ${lane.name}`, lane);
  for (const event of trace) {
    add({ kind: "task", name: event.task });
    const subject = subjectOf(event);
    if (subject) add({ kind: subject.kind, name: subject.name });
  }
  return [...lanes.values()].toSorted((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
}
