/** Guards taken out, one at a time, and what the bytes on the modelled machine then say; with them in, nothing. */
import { describe, expect, it } from "vitest";
import type { GpuOptions } from "./index.js";
import { onMachine } from "./testing/machine-world.js";
import { queuedLate, raceNamed } from "./testing/races.js";
import { passing, type Race, someWrong } from "./testing/search.js";
import { SERVING, type VariantId } from "./testing/variants.js";

const seen = (race: Race, id: VariantId, options: GpuOptions, what: RegExp): string =>
  someWrong(race, id, options, what, onMachine).join("; ");

describe.each(SERVING)("%s", (id) => {
  it("without its fence in the buffer's reservation, what a job wrote is lost in a move", () => {
    const what = /CORRUPT: the buffer has 1 where 2 was written/;
    const race = raceNamed("listed job × a GPU's move");
    expect(seen(race, id, { fences: false }, what)).toMatch(what);
    expect(seen(race, id, {}, /./)).toBe("");
  });

  it("without the flush, a job that does not list the buffer writes to what was revoked by what it read through", () => {
    const what = /STALE: written after the revoke returned/;
    const race = raceNamed("unlisted job × vfio's revoke");
    expect(seen(race, id, { flush: false }, what)).toMatch(what);
    expect(seen(race, id, {}, /./)).toBe("");
  });
});

it.each(["dma-address", "annotated-address", "linux-7.3"] as const)(
  "%s: without the wait for the move's fence, a job reads what is not there yet; where frames are told, the exporter waits",
  (id) => {
    const what = /STALE: a job after the move reads|CORRUPT: the buffer has/;
    const race = raceNamed("submission × a GPU's move");
    expect(seen(race, id, { waitsForMoves: false }, what)).toMatch(what);
    expect(seen(race, id, {}, /./)).toBe("");
  },
);

it("pfn: without the second look, what was asked before a revoke is installed behind it", () => {
  const what = /STALE: read after the revoke/;
  expect(seen(raceNamed("map × vfio's revoke"), "pfn", { retry: false }, what)).toMatch(what);
  expect(seen(raceNamed("map × vfio's revoke"), "pfn", {}, /./)).toBe("");
});

it("as posted: without the look at what needs an update, a job is queued with entries that were passed over", () => {
  const ends = (rechecks: boolean): string => {
    const arena = { scheduler: passing("amdgpu.notifier_lock"), build: onMachine, racing: false };
    return queuedLate(arena, "linux-7.3", { asPosted: true, rechecks }).join();
  };
  expect(ends(false)).toMatch(/queued after the revoke reached/);
  expect(ends(true)).toBe("");
});
