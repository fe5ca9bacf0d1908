/** The few orders that are tried by default find what many find. */
import { describe, expect, it } from "vitest";
import { readScenarios } from "./catalogue.js";
import { compare } from "./compare.js";
import type { Orders } from "./orders.js";
import { hasRace, type Scenario } from "./scenario/scenario.js";
import { verdictText } from "./scenario/verdict-text.js";

const MANY = 200;

function ends(scenario: Scenario, orders: Orders): string[] {
  const { results } = compare({ catalogue: [scenario], orders });
  return results.map((r) => `${r.contract}: ${verdictText(r.asPosted)} / ${verdictText(r.conforming)}`);
}

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
