import { expect, it } from "vitest";
import { lanesOf } from "./lanes.js";
import { event } from "./testing.js";

const LOCK = "resv(gpu 0000:03:00.0#0)";
const { lanes, rows } = lanesOf([
  event(1, "main", "lock", `${LOCK} locked`),
  event(2, "main", "call", "dma_buf_map_attachment(gpu 0000:03:00.0, bidirectional) by nic"),
  event(2, "main", "fence", `${LOCK}: 3:1 ring gpu unsignalled added as WRITE`),
  event(3, "main", "unlock", `${LOCK} unlocked`),
  event(4, "revoke", "call", "dma_buf_move_notify(gpu 0000:03:00.0)"),
  event(4, "revoke", "callback", "0000:04:00.0: key 256 is told"),
  event(5, "irq", "fence", "3:1 ring gpu unsignalled signals"),
]);

it("has a lane a task, a plugin that is entered, a lock and a fence", () => {
  expect(lanes.map((l) => `${l.kind} ${l.name}`)).toEqual([
    "task main",
    "task revoke",
    "task irq",
    "plugin gpu 0000:03:00.0",
    "plugin 0000:04:00.0",
    `lock ${LOCK}`,
    "fence 3:1",
  ]);
});

it("draws an arrow to what an event reaches, and back from a lock that is given", () => {
  expect(rows.map((r) => r.to && [r.to.lane, r.to.points])).toEqual([
    [5, "there"],
    [3, "there"],
    [6, "there"],
    [5, "back"],
    null,
    [4, "there"],
    [6, "there"],
  ]);
});

it("knows which locks are held", () => {
  expect(rows.map((r) => r.held)).toEqual([[5], [5], [5], [], [], [], []]);
});
