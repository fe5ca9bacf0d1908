/** What the tests of actors share: scenarios of ours, with other words in them, and how they end. */
import { readFileSync } from "node:fs";
import { bind } from "../binding.js";
import { Cell } from "../cell.js";
import type { Column } from "../column.js";
import { columns } from "../columns/index.js";
import { readScenario } from "../scenario/read.js";
import type { Scenario } from "../scenario/scenario.js";
import { verdictText } from "../scenario/verdict-text.js";

/** @throws RangeError the scenario does not say `from` */
export function scenario(id: string, from = "", to = ""): Scenario {
  const text = readFileSync(new URL(`../../scenarios/${id}.yaml`, import.meta.url), "utf8");
  if (!text.includes(from)) throw new RangeError(`${id} does not say ${from}`);
  return readScenario(text.replace(from, to), `${id}.yaml`);
}

/** One of ours. */
export function columnOf(contract: string): Column {
  return columns.find((c) => c.contract.id === contract) as Column;
}

/** The conforming verdict, in words. */
export function conforming(played: Scenario, contract: string): string {
  return verdictText(new Cell(played, columnOf(contract), bind(played, null)).result().conforming);
}
