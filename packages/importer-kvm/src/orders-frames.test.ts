/** Every order of a guest's accesses against a move and a revoke, where a frame is true for an instant only: no byte goes astray. */
import { expect, it } from "vitest";
import { againstMove, againstRevoke, type Cast } from "./testing/race.js";
import { NOTHING, searched } from "./testing/search.js";

const MOVES: readonly Cast[] = [["faults"], ["cached"], ["faults", "inside"], ["cached", "inside"]];

for (const id of ["vma", "pfn"] as const) {
  for (const cast of MOVES) {
    const { count, kind, worst } = searched((scheduler) => againstMove(scheduler, id, cast));
    it(`${id}: ${cast.join(" × ")} × move: ${count}`, () => expect([kind, worst]).toEqual(["exhausted", NOTHING]));
  }
  for (const what of ["faults", "cached"] as const) {
    const { count, kind, worst } = searched((scheduler) => againstRevoke(scheduler, id, [what]));
    it(`${id}: ${what} × vfio revoke: ${count}`, () => expect([kind, worst]).toEqual(["exhausted", NOTHING]));
  }
}
