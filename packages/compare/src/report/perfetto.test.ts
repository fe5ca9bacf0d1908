import { describe, expect, it } from "vitest";
import { type ChromeEvent, type ChromeTrace, perfettoTrace } from "./perfetto.js";
import { collected, event, explanationOf } from "./testing.js";

const LOCK = "resv(gpu#0)";
const handover = explanationOf([
  event(1, "main", "tracepoint", "dma_buf_export: exp_name=gpu"),
  event(2, "a", "lock", `${LOCK} locked`),
  event(2, "a", "fence", `${LOCK}: 1:7 ring gpu unsignalled added as WRITE`),
  event(3, "a", "unlock", `${LOCK} unlocked`),
  event(4, "b", "lock", `${LOCK} locked`),
  event(5, "b", "unlock", `${LOCK} unlocked`),
  event(6, "irq", "fence", "1:7 ring gpu unsignalled signals"),
]);

/** What the format asks of events, and what importers of it drop silently. */
function problems({ traceEvents }: ChromeTrace): readonly string[] {
  const named = new Set(traceEvents.filter((e) => e.name === "thread_name").map((e) => e.tid));
  const slices = traceEvents.filter((e) => e.ph === "X");
  return [
    ...traceEvents.filter((e) => e.ph !== "M" && !named.has(e.tid)).map((e) => `${e.name}: its track has no name`),
    ...traceEvents.filter((e) => e.ph !== "M" && !((e.ts ?? -1) >= 0)).map((e) => `${e.name}: no ts`),
    ...slices.filter((e) => !((e.dur ?? 0) > 0)).map((e) => `${e.name}: no dur`),
    ...slices.flatMap((a) =>
      slices.filter((b) => overlaps(a, b)).map((b) => `${a.name} and ${b.name} overlap, and none is in the other`),
    ),
    ...flowProblems(traceEvents, slices),
  ];
}

function overlaps(a: ChromeEvent, b: ChromeEvent): boolean {
  const [aEnd, bEnd] = [end(a), end(b)];
  const [aTs, bTs] = [a.ts as number, b.ts as number];
  return a.tid === b.tid && aTs < bTs && bTs < aEnd - 1e-9 && aEnd < bEnd - 1e-9;
}

function flowProblems(events: readonly ChromeEvent[], slices: readonly ChromeEvent[]): readonly string[] {
  const flows = events.filter((e) => e.ph === "s" || e.ph === "t" || e.ph === "f");
  return [...new Set(flows.map((e) => e.id))].flatMap((id) => {
    const own = flows.filter((e) => e.id === id);
    const phases = own.map((e) => e.ph).join("");
    const inSlices = own.every((e) =>
      slices.some((s) => s.tid === e.tid && (s.ts as number) <= (e.ts as number) && (e.ts as number) < end(s)),
    );
    const inOrder = own.every((e, i) => i === 0 || (own[i - 1]?.ts as number) < (e.ts as number));
    const same = new Set(own.map((e) => `${e.cat} ${e.name}`)).size === 1;
    return /^st*f$/.test(phases) && inSlices && inOrder && same
      ? []
      : [`flow ${id}: ${phases}, in slices: ${inSlices}, in order: ${inOrder}`];
  });
}

function end(e: ChromeEvent): number {
  return (e.ts as number) + (e.dur as number);
}

describe("the Perfetto trace", () => {
  it("has a track a task and a track a lock", () => {
    const names = perfettoTrace(handover).traceEvents.flatMap((e) =>
      e.name === "thread_name" ? [e.args?.["name"]] : [],
    );
    expect(names).toEqual(["main", "a", "b", "irq", LOCK]);
  });

  it("shows who holds a lock, and how long, at one microsecond a step", () => {
    const { traceEvents } = perfettoTrace(handover);
    const track = traceEvents.find((e) => e.name === "thread_name" && e.args?.["name"] === LOCK)?.tid;
    const held = traceEvents.filter((e) => e.tid === track && e.ph === "X").map((e) => [e.name, e.ts, e.dur]);
    expect(held).toEqual([
      ["a", 2, 1],
      ["b", 4, 1],
    ]);
  });

  it("draws a flow where a lock goes to another task, and one from a fence to its signal", () => {
    const flows = perfettoTrace(handover).traceEvents.filter((e) => "sft".includes(e.ph));
    expect(flows.map((e) => [e.ph, e.cat, e.ts])).toEqual([
      ["s", "lock", 3],
      ["f", "lock", 4],
      ["s", "fence", 2.5],
      ["f", "fence", 6],
    ]);
  });

  it("lets a call last until it comes back, where the trace says so", () => {
    const { traceEvents } = perfettoTrace(
      explanationOf([
        event(1, "a", "call", "dma_buf_map_attachment(gpu) by nic"),
        event(4, "a", "refused", "EINVAL at map: no"),
      ]),
    );
    expect(traceEvents.find((e) => e.cat === "call")).toMatchObject({ ph: "X", ts: 1, dur: 4 });
  });

  it("obeys the format, of cells that were run too", () => {
    expect(problems(perfettoTrace(handover))).toEqual([]);
    const { explanations } = collected(["S34c", "S01a"], ["dma-address", "pfn"]);
    for (const explanation of explanations) expect(problems(perfettoTrace(explanation))).toEqual([]);
  });

  it("is JSON, and says which cell and order it is", () => {
    const { traceEvents, otherData } = JSON.parse(JSON.stringify(perfettoTrace(handover))) as ChromeTrace;
    expect(traceEvents[0]).toMatchObject({ ph: "M", args: { name: "S01 under a, conforming" } });
    expect(otherData["replayToken"]).toBe("t");
  });
});
