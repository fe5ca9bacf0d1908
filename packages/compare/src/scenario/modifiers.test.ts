import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { readScenario } from "./read.js";

const text = readFileSync(new URL("../../scenarios/S60b.yaml", import.meta.url), "utf8");
const read = (from: string, to: string) => readScenario(text.replace(from, to), "mine.yaml").topology;

it("bits and sizes come out as numbers", () => {
  expect(read("", "").modifiers).toEqual({ dmaMask: 44, barAddress: 2 ** 45 });
  expect(read('dmaMask: "44 bit"', "acsDirectTranslated: true").modifiers).toMatchObject({ acsDirectTranslated: true });
});

it.each([
  ['dmaMask: "44 bit"', "dmaMask: 44", /^mine.yaml:5:\d+: topology.dmaMask: must be a number of bits, as in 44 bit/],
  ['dmaMask: "44 bit"', "dmaMask: wide", /topology.dmaMask: must be a number of bits, as in 44 bit/],
  ["barAddress: 32 TiB", "barAddress: 2^45", /topology.barAddress: must be a size/],
  ["barAddress: 32 TiB", "tdisp: maybe", /topology.tdisp: must be true or false/],
  ["barAddress: 32 TiB", "dmaMusk: 44 bit", /topology.dmaMusk: there is no such field here/],
  ["barAddress: 32 TiB", "ram: none", /topology.ram: must be one of above 4 GiB, movable zone/],
])("a mistake is told with its place: %s as %s", (from, to, message) => {
  expect(() => read(from, to)).toThrow(message);
});
