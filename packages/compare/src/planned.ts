/** What a request comes to as the pool and its workers see it: rows of cells, and nothing run yet. */
import type { Runnable } from "./contained.js";
import type { Lost, Plan } from "./messages.js";
import type { Prepared } from "./request.js";
import { hasRace } from "./scenario/scenario.js";

export function planOf({ machine, contracts, scenarios, row }: Prepared): Plan {
  const rows = scenarios.map((scenario) => row(scenario).map(lost));
  return { is: "plan", machine, contracts, rows, races: scenarios.map(hasRace) };
}

function lost(cell: Runnable): Lost {
  if (cell.strangers.length === 0) return null;
  const hung = cell.failed("HANG", "did not come back: it neither ends nor yields");
  return { hung, gone: cell.failed("CRASH", "took the whole thread down with it") };
}
