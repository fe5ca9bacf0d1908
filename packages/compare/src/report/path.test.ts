import { expect, it } from "vitest";
import type { AccessEvidence, TopologyNode } from "../evidence.js";
import { pathOf, SYSTEM } from "./path.js";

const node = (address: string, parent: string | null): TopologyNode => ({
  address,
  parent,
  kind: "endpoint",
  plays: null,
  acs: [],
});
const TREE = [
  node("hb", null),
  node("port a", "hb"),
  node("port b", "hb"),
  node("bar", "port a"),
  node("nic", "port b"),
];

const access = (change: Partial<AccessEvidence>): AccessEvidence => ({
  sentStep: 1,
  step: 2,
  task: "t",
  by: "nic",
  access: "write",
  sizeBytes: 8,
  address: "0x0",
  hops: [],
  lookups: [],
  physical: "0x0",
  target: "mmio",
  reason: null,
  ...change,
});

const UP = { at: "port b", action: "sends 0x0 upstream" };

it.each([
  [
    "through the host bridge to a peer",
    { hops: [UP, { at: "bar", action: "claims 0x0" }] },
    ["nic", "port b", "hb", "port a", "bar"],
    true,
  ],
  ["to RAM", { hops: [UP], target: "ram" }, ["nic", "port b", "hb", SYSTEM], true],
  ["up to the root complex and nowhere", { hops: [UP], target: "nothing" }, ["nic", "port b", "hb"], false],
  [
    "down from a CPU",
    { by: "guest", hops: [{ at: "bar", action: "claims 0x0" }] },
    [SYSTEM, "hb", "port a", "bar"],
    true,
  ],
  ["not even sent", { target: "nothing" }, ["nic"], false],
] as const)("a path %s", (_name, change, nodes, arrived) => {
  expect(pathOf(access(change as Partial<AccessEvidence>), TREE)).toEqual({ nodes, arrived });
});
