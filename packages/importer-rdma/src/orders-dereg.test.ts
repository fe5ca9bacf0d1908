/** Every order in which a region is used and deregistered while its memory goes, or while another request faults. */
import { explore } from "@dma-buf/core";
import { expect, it } from "vitest";
import { type Play, play } from "./testing/orders-world.js";

/** One contract with the reservation held, and one without. */
const PLAYS: readonly Play[] = (["linux-7.3", "pfn"] as const).flatMap((id): Play[] => [
  { id, kind: "on-demand", way: "revoke", start: "mapped", access: "write and deregister" },
  { id, kind: "pinned-revocable", way: "revoke", start: "mapped", access: "write and deregister" },
  { id, kind: "on-demand", way: "none", start: "fault", access: "two prefetches" },
  { id, kind: "on-demand", way: "none", start: "fault", access: "write, deregistered meanwhile" },
]);

for (const p of PLAYS) {
  const found = explore((scheduler) => play(scheduler, p), { badness: (wrong) => wrong.length });
  it(`${p.id}, ${p.kind}: ${p.access} against ${p.way}: ${found.explored} orders, ${found.kind}`, () => {
    expect([found.worst.result, found.kind, found.explored > 10]).toEqual([[], "exhausted", true]);
  });
}
