import { expect, it } from "vitest";
import { checkPlugin } from "./check-plugin.js";

const GOOD = {
  schemaVersion: 1,
  kind: "exporter",
  name: "mine",
  contracts: ["linux-7.3"],
  capabilities: [],
  create() {},
} as const;

it.each<[string, object]>([
  ["nothing more than it must have", GOOD],
  ["with a place to play in", { ...GOOD, plays: "gpu" }],
])("a module comes in: %s", (_what, dmaBufPlugin) => {
  expect(checkPlugin({ dmaBufPlugin }, "./mine.js")).toBe(dmaBufPlugin);
});

it.each<[unknown, string]>([
  [null, " must be an object exported under that name, is null"],
  [{ ...GOOD, schemaVersion: 2 }, ".schemaVersion must be 1, is 2"],
  [{ ...GOOD, kind: "both" }, '.kind must be "exporter" or "importer", is both'],
  [{ ...GOOD, name: 1 }, ".name must be a string, is 1"],
  [{ ...GOOD, plays: 1 }, ".plays must be left out, or a string, is 1"],
  [{ ...GOOD, contracts: "linux-7.3" }, ".contracts must be a list of contract ids, is linux-7.3"],
  [{ ...GOOD, capabilities: [1] }, ".capabilities must be a list of strings, is 1"],
  [{ ...GOOD, create: null }, ".create must be a function, is null"],
])("%o is sent away", (dmaBufPlugin, why) => {
  expect(() => checkPlugin({ dmaBufPlugin }, "./mine.js")).toThrow(new TypeError(`./mine.js: dmaBufPlugin${why}`));
});
