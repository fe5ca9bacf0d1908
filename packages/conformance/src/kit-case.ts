/** What the kit tries, and what came of it. */
import type { CallName } from "@dma-buf/core";
import type { Breach } from "./recorder.js";

/** A case: one requirement of the contract, and how the plugin broke it. */
export interface Case {
  /** The row's id, and what the row says. */
  readonly title: string;
  readonly requirement: string;
  readonly breaches: readonly string[];
}

/** What no single row says. */
export interface KitCase {
  /** Behind the id of the contract, or of a row: `no-memory`. */
  readonly name: string;
  run(): Outcome;
}

/** What was tried, with counts, and what broke. */
export interface Outcome {
  readonly title: string;
  readonly breaches: readonly string[];
}

/** All that was tried with one plugin. */
export interface Tried {
  readonly breaches: readonly Breach[];
  /** The calls whose rows it could have broken. */
  readonly tried: ReadonlySet<CallName>;
  /** How many orders of an importer's race were tried, and whether that was all. */
  readonly orders?: string;
  /** Cases that are no row's. */
  readonly more: readonly Case[];
}

/** What is broken in one order would be found again in all. */
const LATER: Outcome = { title: "not tried, mend what is broken above first", breaches: [] };

/** Tries `cases`, under the id of a contract or of a row, if what comes before is sound. */
export function cased(under: string, cases: readonly KitCase[], sound: boolean): Case[] {
  return cases.map(({ name, run }) => {
    const { title, breaches } = sound ? run() : LATER;
    return { requirement: `${under}/${name}`, title: `${under}/${name}: ${title}`, breaches };
  });
}
