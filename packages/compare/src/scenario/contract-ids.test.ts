import { contracts } from "@dma-buf/core";
import { expect, it } from "vitest";
import { readScenarios } from "../catalogue.js";
import { isPlanned, meant, unknownContract } from "./contract-ids.js";

const OURS = contracts.map((contract) => contract.id);

it("what the catalogue has cells for is a column or planned", () => {
  const named = new Set(readScenarios().flatMap((s) => Object.keys(s.cells)));
  expect([...named].filter((id) => !OURS.includes(id)).toSorted()).toEqual(["importer-domain", "mapping-type"]);
  expect([...named].every((id) => OURS.includes(id) || isPlanned(id))).toBe(true);
  expect(OURS.some(isPlanned)).toBe(false);
});

it.each<[string, string | null]>([
  ["dma-adress", "dma-address"],
  ["dma-addres", "dma-address"],
  ["pfn-lokced", "pfn-locked"],
  ["linux-7.4", "linux-7.3"],
  ["maping-type", "mapping-type"],
  ["pnf", "pfn"],
  ["pfn2", "pfn"],
  ["p2p", null],
  ["my-rfc", null],
  ["pfn", null],
  ["mapping-type", null],
  ["", null],
])("%s is meant to be %s", (id, word) => expect(meant(id, OURS)).toBe(word));

it("says what there is, what was meant, and what is not built yet", () => {
  expect(unknownContract("nope", ["pfn", "vma"])).toBe('unknown contract "nope". There are pfn, vma');
  expect(unknownContract("vna", ["pfn", "vma"])).toBe('unknown contract "vna": did you mean vma? There are pfn, vma');
  expect(unknownContract("mapping-type", ["pfn"])).toMatch(
    /^contract "mapping-type" is known and not built yet: .*\. There are pfn$/,
  );
});
