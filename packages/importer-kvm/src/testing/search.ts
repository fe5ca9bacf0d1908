/** Every order of a race, and the worst that came of one. */
import { explore, type Scheduler } from "@dma-buf/core";
import type { Raced } from "./race.js";

export interface Searched {
  /** For a title: `154 orders, exhausted`. */
  readonly count: string;
  readonly kind: "exhausted" | "bounded";
  readonly worst: Raced;
}

export function searched(race: (scheduler: Scheduler) => Raced): Searched {
  const badness = ({ corrupt, wrong }: Raced): number => corrupt.length + wrong.length;
  const { kind, explored, worst } = explore(race, { ordersMax: 20_000, badness });
  return { count: `${explored} orders, ${kind}`, kind, worst: worst.result };
}

export const NOTHING: Raced = { corrupt: [], wrong: [] };
