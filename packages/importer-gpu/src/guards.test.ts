/** Guards taken out, and what the bytes then say; with them in, the same orders show nothing. The TLB flush: `scenarios.test.ts`. */
import { describe, expect, it } from "vitest";
import type { GpuOptions } from "./index.js";
import { MOVE, passing, queuedLate, REVOKE, type Race, someWrong } from "./testing/races.js";
import { SERVING, type VariantId } from "./testing/variants.js";

const seen = (race: Race | undefined, id: VariantId, options: GpuOptions, what: RegExp): string =>
  someWrong(race as Race, id, options, what).join("; ");

describe.each(SERVING)("%s", (id) => {
  it("without its fence in the buffer's reservation, what a job wrote is lost in a move", () => {
    const what = /CORRUPT: the buffer has 1 where 2 was written/;
    expect(seen(MOVE["job"], id, { fences: false }, what)).toMatch(what);
    expect(seen(MOVE["job"], id, {}, what)).toBe("");
  });
});

it.each(["dma-address", "annotated-address", "linux-7.3"] as const)(
  "%s: without the wait for the move's fence, a job reads what is not there yet; where frames are told, the exporter waits",
  (id) => {
    const what = /STALE: a job after the move reads|CORRUPT: the buffer has/;
    expect(seen(MOVE["submit a job"], id, { waitsForMoves: false }, what)).toMatch(what);
    expect(seen(MOVE["submit a job"], id, {}, what)).toBe("");
  },
);

it("pfn: without the second look, what was asked before a revoke is installed behind it", () => {
  const what = /STALE: read after the revoke/;
  expect(seen(REVOKE["map"], "pfn", { retry: false }, what)).toMatch(what);
  expect(seen(REVOKE["map"], "pfn", {}, what)).toBe("");
});

it("as posted: without the look at what needs an update, a job is queued with entries that were passed over", () => {
  const ends = (rechecks: boolean): string =>
    queuedLate(passing("amdgpu.notifier_lock"), "linux-7.3", { asPosted: true, rechecks }).join();
  expect(ends(false)).toMatch(/queued after the revoke reached/);
  expect(ends(true)).toBe("");
});
