/** What a comparison runs: the cells of each scenario, in order, and nothing run yet. */
import type { Topology } from "@dma-buf/pci";
import type { Column } from "./column.js";
import { Contained, type Runnable } from "./contained.js";
import type { Orders } from "./orders.js";
import { type Guest, playsIn } from "./players.js";
import { row } from "./row.js";
import type { Scenario } from "./scenario/scenario.js";

export interface PlanOptions {
  readonly columns: readonly Column[];
  readonly host: Topology | null;
  readonly orders?: Orders | undefined;
  /** With them only the cells are run in which one of them plays. */
  readonly guests?: readonly Guest[] | undefined;
}

/** The cells of one scenario. */
export function planRow({ columns, host, orders, guests = [] }: PlanOptions, scenario: Scenario): Runnable[] {
  const cells = row(scenario, columns, host, orders);
  return columns.flatMap((column, i) => {
    const playing = guests.filter((guest) => playsIn(guest, scenario, column.contract.id));
    if (guests.length > 0 && playing.length === 0) return [];
    const base = cells[i] as (typeof cells)[number];
    return [new Contained({ scenario, column, host, orders, guests: playing, base })];
  });
}
