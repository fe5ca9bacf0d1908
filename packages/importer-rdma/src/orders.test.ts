/** Every order of fault, invalidate, flush and access, and what is wrong in the worst: nothing. */
import { explore } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { type Play, play } from "./testing/orders-world.js";
import { SERVING } from "./testing/rig.js";

const PLAYS: readonly Omit<Play, "id">[] = [
  { kind: "on-demand", way: "revoke", start: "fault" },
  { kind: "on-demand", way: "revoke", start: "mapped" },
  { kind: "on-demand", way: "move", start: "fault" },
  { kind: "on-demand", way: "move", start: "mapped" },
  { kind: "on-demand", way: "move, copied later", start: "mapped" },
  { kind: "on-demand", way: "move", start: "mapped", access: "read" },
  { kind: "pinned-revocable", way: "revoke", start: "mapped" },
  { kind: "pinned-revocable", way: "revoke", start: "mapped", access: "two writes" },
];

describe.each(SERVING)("%s", (id) => {
  for (const p of PLAYS) {
    const found = explore((scheduler) => play(scheduler, { id, ...p }), { badness: (wrong) => wrong.length });
    const { access = "write" } = p;
    it(`${p.kind}, ${p.start}: ${access} against ${p.way}: ${found.explored} orders, ${found.kind}`, () => {
      expect([found.worst.result, found.kind, found.explored > 100]).toEqual([[], "exhausted", true]);
    });
  }
});
