/** Guards taken out, one at a time, and what the bytes on the modelled machine then say; with them in, nothing. */
import { describe, expect, it } from "vitest";
import { someWrong, type User, type Way } from "./testing/guard-race.js";
import { SERVING } from "./testing/machine-world.js";
import type { Guards } from "./world.js";

const STALE = "STALE: a write arrived in what is somebody else's";
const LOST = "CORRUPT: a write is lost";

const OUT: readonly (readonly [keyof Guards, User, Way, readonly string[], string])[] = [
  ["flush", "has mapped", "revoke", SERVING, STALE],
  ["revoked", "attaches", "revoke", SERVING, STALE],
  ["mutex", "attaches", "revoke", SERVING, STALE],
  // Where the reservation is held from the answer to the table, nothing comes in between.
  ["retry", "maps", "revoke", ["vma", "pfn"], STALE],
  ["fences", "maps", "move, copied later", ["pfn-locked", "annotated-address"], LOST],
];

describe.each(OUT)("%s: who %s × %s", (guard, user, way, ids, what) => {
  it.each(ids)("%s", (id) => {
    expect(someWrong(id, user, way, { [guard]: false })).toContain(what);
    expect(someWrong(id, user, way)).toEqual([]);
  });
});
