/** The cells of one scenario, a column each. */
import type { Topology } from "@dma-buf/pci";
import { bind } from "./binding.js";
import { Cell } from "./cell.js";
import type { Column } from "./column.js";
import { columns as ours } from "./columns/index.js";
import type { Scenario } from "./scenario/scenario.js";

/** Whether another contract serves is asked of ours, shown or not. Runs nothing yet. */
export function row(scenario: Scenario, columns: readonly Column[], host: Topology | null): Cell[] {
  const binding = bind(scenario, host);
  const base = new Map(ours.map((column) => [column, new Cell(scenario, column, binding, others)]));
  function others(): Iterable<Cell> {
    return base.values();
  }
  return columns.map((column) => base.get(column) ?? new Cell(scenario, column, binding, others));
}
