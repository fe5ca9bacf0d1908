/**
 * A trace in the Chrome JSON format, which Perfetto opens: a track a task and a track a lock, flows where a lock goes from one
 * task to another and where a fence is waited for. One step is one microsecond; what happens in one step shares it.
 */
import type { TraceEvent } from "@dma-buf/core";
import type { Explanation } from "../result.js";
import { verdictText } from "../scenario/verdict-text.js";
import { groupBy } from "./group-by.js";
import { type Subject, subjectOf } from "./subject.js";

/** Of the format, what is used here. `ts` and `dur` are microseconds. */
export interface ChromeEvent {
  readonly name: string;
  readonly cat?: string;
  readonly ph: "M" | "X" | "i" | "s" | "t" | "f";
  readonly pid: number;
  readonly tid: number;
  readonly ts?: number;
  readonly dur?: number;
  /** Of an instant: it is its thread's. */
  readonly s?: "t";
  readonly id?: number;
  /** Of a flow's end: it belongs to the slice around it. */
  readonly bp?: "e";
  readonly args?: Readonly<Record<string, unknown>>;
}

export interface ChromeTrace {
  readonly traceEvents: readonly ChromeEvent[];
  readonly displayTimeUnit: "ns";
  readonly otherData: Readonly<Record<string, string>>;
}

const PID = 1;
/** These take time, or are where a flow begins or ends; the others are instants. */
const SLICES: ReadonlySet<TraceEvent["kind"]> = new Set(["call", "callback", "access", "lock", "unlock", "fence"]);

/** An event with its place in time and what it is about. */
interface Timed {
  readonly event: TraceEvent;
  readonly subject: Subject | null;
  readonly ts: number;
  readonly dur: number;
}

/**
 * @example
 * const trace = perfettoTrace(explain({ scenario: "S34c", contract: "pfn" }));
 * writeFileSync("S34c-pfn.json", JSON.stringify(trace)); // open it at ui.perfetto.dev
 */
export function perfettoTrace({ result, run, replayToken, trace }: Explanation): ChromeTrace {
  const timed = timedOf(trace);
  const tracks = new Tracks();
  const events = [
    ...timed.map((t) => eventOf(t, endOf(t, timed), tracks)),
    ...heldLocks(timed, tracks),
    ...flowsOf(timed, tracks),
  ];
  const title = `${result.scenario} under ${result.contract}, ${run === "asPosted" ? "as posted" : run}`;
  return {
    traceEvents: [...tracks.metadata(title), ...events],
    displayTimeUnit: "ns",
    otherData: {
      title: result.title,
      verdict: verdictText(run === "asPosted" ? result.asPosted : result.conforming),
      replayToken,
    },
  };
}

/** Tasks and locks by number, in the order in which they are first asked for. */
class Tracks {
  readonly #tids = new Map<string, number>();

  of(name: string): number {
    const known = this.#tids.get(name);
    if (known !== undefined) return known;
    this.#tids.set(name, this.#tids.size + 1);
    return this.#tids.size;
  }

  metadata(title: string): readonly ChromeEvent[] {
    const process: ChromeEvent = { name: "process_name", ph: "M", pid: PID, tid: 0, args: { name: title } };
    const threads = [...this.#tids].flatMap(([name, tid]): readonly ChromeEvent[] => [
      { name: "thread_name", ph: "M", pid: PID, tid, args: { name } },
      { name: "thread_sort_index", ph: "M", pid: PID, tid, args: { sort_index: tid } },
    ]);
    return [process, ...threads];
  }
}

function timedOf(trace: readonly TraceEvent[]): readonly Timed[] {
  return [...groupBy(trace, (event) => event.step).values()].flatMap((shares) =>
    shares.map((event, i) => ({
      event,
      subject: subjectOf(event),
      ts: event.step + i / shares.length,
      dur: 1 / shares.length,
    })),
  );
}

/** When a call came back, where the trace says so. */
function endOf(call: Timed, timed: readonly Timed[]): number {
  const own = call.ts + call.dur;
  if (call.event.kind !== "call") return own;
  let depth = 0;
  for (const { event, ts, dur } of timed.slice(timed.indexOf(call))) {
    if (event.task !== call.event.task) continue;
    if (event.kind === "call") depth++;
    if ((event.kind === "return" || event.kind === "refused") && --depth === 0) return ts + dur;
  }
  return own;
}

function eventOf({ event, ts }: Timed, end: number, tracks: Tracks): ChromeEvent {
  const { kind, text, step, task } = event;
  const common = { name: text, cat: kind, pid: PID, tid: tracks.of(task), ts, args: { step } };
  return SLICES.has(kind) ? { ...common, ph: "X", dur: end - ts } : { ...common, ph: "i", s: "t" };
}

/** A lock's own track says who holds it, and how long. */
function heldLocks(timed: readonly Timed[], tracks: Tracks): readonly ChromeEvent[] {
  const last = timed.at(-1);
  return locksOf(timed).map(({ name, taken, given }) => ({
    name: taken.event.task,
    cat: "lock",
    ph: "X",
    pid: PID,
    tid: tracks.of(name),
    ts: taken.ts,
    dur: (given?.ts ?? (last as Timed).ts + (last as Timed).dur) - taken.ts,
  }));
}

interface Held {
  readonly name: string;
  readonly taken: Timed;
  /** Not there: until the end. */
  readonly given: Timed | undefined;
}

function locksOf(timed: readonly Timed[]): readonly Held[] {
  return timed.flatMap((taken, i) => {
    const { subject } = taken;
    if (subject?.kind !== "lock" || subject.does !== "takes") return [];
    const given = timed.slice(i).find((t) => isOf(t, "lock", subject.name, "gives"));
    return [{ name: subject.name, taken, given }];
  });
}

/** From who gives a lock to another task that takes it next; from where a fence is added, by where else, to where it signals. */
function flowsOf(timed: readonly Timed[], tracks: Tracks): readonly ChromeEvent[] {
  const handovers = timed.flatMap((given, i) => {
    const { subject, event } = given;
    if (subject?.kind !== "lock" || subject.does !== "gives") return [];
    const next = timed.slice(i + 1).find((t) => isOf(t, "lock", subject.name, "takes"));
    return next && next.event.task !== event.task ? [{ name: subject.name, points: [given, next] }] : [];
  });
  const names = new Set(timed.flatMap(({ subject }) => (subject?.kind === "fence" ? [subject.name] : [])));
  const fences = [...names].flatMap((name) => {
    const added = timed.filter((t) => isOf(t, "fence", name, "adds"));
    const signalled = timed.find((t) => isOf(t, "fence", name, "signals") && t.ts >= (added[0]?.ts ?? Infinity));
    const points = signalled ? [...added.filter((t) => t.ts < signalled.ts), signalled] : [];
    return points.length > 1 ? [{ name: `fence ${name}`, points }] : [];
  });
  return [...handovers, ...fences].flatMap(({ name, points }, id) =>
    points.map((point, i) => stationOf({ name, id: id + 1 }, point, phaseAt(i, points.length), tracks)),
  );
}

/** One point of a flow. */
function stationOf(
  flow: { readonly name: string; readonly id: number },
  { event, ts }: Timed,
  phase: Pick<ChromeEvent, "ph" | "bp">,
  tracks: Tracks,
): ChromeEvent {
  const cat = event.kind === "fence" ? "fence" : "lock";
  return { ...flow, cat, ...phase, pid: PID, tid: tracks.of(event.task), ts };
}

function phaseAt(index: number, length: number): Pick<ChromeEvent, "ph" | "bp"> {
  if (index === 0) return { ph: "s" };
  return index === length - 1 ? { ph: "f", bp: "e" } : { ph: "t" };
}

function isOf({ subject }: Timed, kind: Subject["kind"], name: string, does: Subject["does"]): boolean {
  return subject?.kind === kind && subject.name === name && subject.does === does;
}
