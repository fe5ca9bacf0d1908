/** The few orders that are tried by default find what many find. */
import { readFileSync } from "node:fs";
import { type Capture, parseLspci, topologyOf } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { bind } from "./binding.js";
import { readScenarios } from "./catalogue.js";
import { compare } from "./compare.js";
import type { Orders } from "./orders.js";
import { hasRace, type Scenario } from "./scenario/scenario.js";
import { verdictText } from "./scenario/verdict-text.js";

const MANY = 200;

/** Its BARs have other sizes, so that a race has other steps. */
const laptop = parseLspci(
  readFileSync(new URL("../../../machines/laptop-nvidia-optane.lspci.txt", import.meta.url), "utf8"),
  "laptop",
);

function ends(scenario: Scenario, orders: Orders, capture?: Capture): string[] {
  const { results } = compare({ catalogue: [scenario], orders, ...(capture ? { capture } : {}) });
  return results.map((r) => `${r.contract}: ${verdictText(r.asPosted)} / ${verdictText(r.conforming)}`);
}

const onHost = readScenarios().filter((s) => hasRace(s) && bind(s, topologyOf(laptop)).where === "host");

describe("on a host as well", () => {
  it.each(onHost.map((s) => [s.id, s] as const))(
    "%s",
    (_id, scenario) => expect(ends(scenario, "default", laptop)).toEqual(ends(scenario, MANY, laptop)),
    300_000,
  );
});

describe("in every race the default finds the verdict of many orders", () => {
  it.each(
    readScenarios()
      .filter(hasRace)
      .map((s) => [s.id, s] as const),
  )(
    "%s",
    (_id, scenario) => {
      expect(ends(scenario, "default")).toEqual(ends(scenario, MANY));
    },
    300_000,
  );
});
