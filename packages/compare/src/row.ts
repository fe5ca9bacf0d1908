/** The cells of one scenario, a column each. */
import type { Topology } from "@dma-buf/pci";
import { bind, type Binding } from "./binding.js";
import { Cell } from "./cell.js";
import type { Column } from "./column.js";
import { columns as ours } from "./columns/index.js";
import type { Orders } from "./orders.js";
import type { Scenario } from "./scenario/scenario.js";

/** Whether another contract serves is asked of ours, shown or not. Runs nothing yet. */
export function row(
  scenario: Scenario,
  columns: readonly Column[],
  host: Topology | null,
  orders: Orders = "default",
): Cell[] {
  let bound: Binding | null = null;
  const binding = (): Binding => (bound ??= bind(scenario, host));
  const cell = (column: Column): Cell => new Cell(scenario, column, binding, others, orders);
  const base = new Map(ours.map((column) => [column, cell(column)]));
  function others(): Iterable<Cell> {
    return base.values();
  }
  return columns.map((column) => base.get(column) ?? cell(column));
}
