import { readFileSync } from "node:fs";
import { defineContract, pfn } from "@dma-buf/core";
import { expect, it } from "vitest";
import { columns } from "../columns/index.js";
import { compare } from "../compare.js";
import { readScenario } from "./read.js";

const text = readFileSync(new URL("../../scenarios/S32a.yaml", import.meta.url), "utf8");
const file = "mine.yaml";

/** A comparison that chooses from one scenario, with a change. */
function compared(from: string, to: string, own: readonly string[] = []): () => unknown {
  expect(text).toContain(from);
  const catalogue = [readScenario(text.replace(from, to), file)];
  const [like] = columns.filter((c) => c.contract === pfn);
  const yours = own.map((id) => ({ ...like!, contract: defineContract(pfn, { id, title: "Mine." }) }));
  return () => compare({ catalogue, columns: yours, scenarios: [] });
}

it.each([
  ["\n  dma-address:", "\n  dma-adress:", "cells.dma-adress", "dma-address"],
  ["contracts: [vma, pfn,", "contracts: [vma, pnf,", "readings.0.contracts.1", "pfn"],
  ["\ncells:", "\nunbuildable: { vna: because }\ncells:", "unbuildable.vna", "vma"],
])("a slip is told with line and field: %j as %j", (from, to, field, word) => {
  const line = text.slice(0, text.indexOf(from) + 1).split("\n").length;
  expect(compared(from, to)).toThrow(
    new RegExp(`^${file}:${line}:\\d+: ${field}: no contract is called .*: did you mean ${word}\\?`),
  );
});

it("somebody's own is no slip: one that is loaded, or one that is like nothing known", () => {
  const [from, to] = ["\n  dma-address:", "\n  pfn-locked2:"];
  expect(compared(from, to)).toThrow(/did you mean pfn-locked/);
  expect(compared(from, to, ["pfn-locked2"])).not.toThrow();
  expect(compared(from, "\n  my-rfc:")).not.toThrow();
  expect(compared(from, "\n  importer-domain:")).not.toThrow();
});
