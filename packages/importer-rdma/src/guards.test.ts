/** Each guard taken out: some order shows by its bytes what it was for. The contracts differ in which they need. */
import { explore } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { RdmaGuards } from "./options.js";
import { type Play, play } from "./testing/orders-world.js";
import { SERVING } from "./testing/rig.js";

const OUT: readonly [keyof RdmaGuards, Omit<Play, "id" | "guards">, Readonly<Record<string, string>>][] = [
  // The reservation is held from the answer to the table, but where the contract tells who holds nothing (S34c).
  ["retry", { kind: "on-demand", way: "revoke", start: "fault" }, { pfn: "STALE" }],
  ["flush", { kind: "on-demand", way: "move", start: "mapped" }, everywhere("STALE")],
  ["flush", { kind: "on-demand", way: "move", start: "mapped", access: "read" }, everywhere("STALE")],
  ["drain", { kind: "on-demand", way: "move", start: "mapped" }, everywhere("STALE")],
  ["drain", { kind: "pinned-revocable", way: "revoke", start: "mapped" }, everywhere("STALE")],
  ["fences", { kind: "on-demand", way: "move, copied later", start: "mapped" }, everywhere("CORRUPT")],
  // Who waits for the unmap waits for ever; who does not goes on (S46b).
  ["zap", { kind: "on-demand", way: "revoke", start: "mapped" }, ignored()],
  ["zap", { kind: "pinned-revocable", way: "revoke", start: "mapped" }, ignored()],
];

function everywhere(verdict: string): Record<string, string> {
  return Object.fromEntries(SERVING.map((id) => [id, verdict]));
}

function ignored(): Record<string, string> {
  return { ...everywhere("STALE"), "linux-7.3": "HANG", "annotated-address": "HANG" };
}

describe.each(OUT)("without %s: %o", (guard, p, verdicts) => {
  it.each(SERVING)("%s", (id) => {
    const order = { id, ...p, guards: { [guard]: false } };
    const found = explore((scheduler) => play(scheduler, order), { badness: (wrong) => wrong.length, ordersMax: 3000 });
    const [worst = "nothing"] = found.worst.result.map((what) => what.split(":")[0]);
    expect(worst).toBe(verdicts[id] ?? "nothing");
  });
});
