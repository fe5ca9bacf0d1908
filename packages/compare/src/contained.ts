/**
 * A cell in which code of somebody else runs: a guest's, or that of a contract of yours. What it throws, and what it
 * answers that makes us throw, is the verdict of that one cell, with its name on it. Of our own code nothing is caught.
 */
import { ERRNO, type Strategy } from "@dma-buf/core";
import type { Topology } from "@dma-buf/pci";
import { bind } from "./binding.js";
import { ROW_STAGES } from "./check-contract.js";
import { Cell, described } from "./cell.js";
import type { Column } from "./column.js";
import { columns as ours } from "./columns/index.js";
import { ChangedGround, onCommonGround } from "./common-ground.js";
import type { Orders } from "./orders.js";
import { type Guest, packagesWith, seat } from "./players.js";
import type { Blame, Explanation, Result, Verdict } from "./result.js";
import type { Scenario } from "./scenario/scenario.js";
import { sameVerdict } from "./scenario/verdict-text.js";

const NOT_POSTED: Verdict = { verdict: "NA" };

/** Of what a stranger says, so much is passed on. */
const TEXT_MAX = 300;

/** Something to run, and who runs in it that is not ours. */
export interface Runnable {
  readonly contract: string;
  /** Names; none: only our code runs in it. */
  readonly strangers: readonly string[];
  result(): Result;
  /** As {@link Cell.trace}; `null` too where a stranger breaks down. */
  trace(run: Explanation["run"]): ReturnType<Cell["trace"]>;
  /** As {@link Cell.again}; `null` too where a stranger breaks down. */
  again(strategy: Strategy): ReturnType<Cell["again"]>;
  /** The result without running it: what somebody saw from outside. */
  failed(verdict: "CRASH" | "HANG", what: string): Result;
}

export interface ContainedInit {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly host: Topology | null;
  readonly orders: Orders | undefined;
  readonly guests: readonly Guest[];
  /** The cell as our packages play it. */
  readonly base: Cell;
}

export class Contained implements Runnable {
  readonly contract: string;
  readonly strangers: readonly string[];
  readonly #init: ContainedInit;
  #guestCell: Cell | undefined;

  constructor(init: ContainedInit) {
    this.#init = init;
    this.contract = init.column.contract.id;
    const isOurs = ours.some((column) => column.contract.id === this.contract);
    this.strangers = [...init.guests.map((g) => g.plugin.name), ...(isOurs ? [] : [this.contract])];
  }

  result(): Result {
    const { guests, base } = this.#init;
    if (this.strangers.length === 0) return base.result();
    try {
      return this.#told(guests.length === 0 ? ofStrangers(base) : this.#withGuests());
    } catch (error) {
      return this.failed("CRASH", thrown(error));
    }
  }

  trace(run: Explanation["run"]): ReturnType<Cell["trace"]> {
    return this.#unlessBroken((cell) => {
      const told = cell.trace(run);
      return told && this.strangers.length > 0 ? asLines(told) : told;
    });
  }

  again(strategy: Strategy): ReturnType<Cell["again"]> {
    return this.#unlessBroken((cell) => cell.again(strategy));
  }

  #unlessBroken<T>(shown: (cell: Cell) => T): T | null {
    const { guests, base } = this.#init;
    if (this.strangers.length === 0) return shown(base);
    try {
      return onCommonGround(() => shown(guests.length === 0 ? base : this.#seated));
    } catch {
      return null;
    }
  }

  failed(verdict: "CRASH" | "HANG", what: string): Result {
    const { scenario, column, host, guests } = this.#init;
    const binding = bind(scenario, host);
    const packages = packagesWith(described(scenario).packages, guests);
    const expected = scenario.cells[column.contract.id] ?? null;
    return {
      ...described(scenario),
      packages,
      contract: this.contract,
      topology: binding.where,
      binding: binding.text,
      asPosted: NOT_POSTED,
      postedRule: null,
      implementation: null,
      conforming: { verdict },
      rule: { kind: "kernel", id: this.strangers.join(", "), text: `${this.strangers.join(", ")} ${what}` },
      blame: this.#culprit(),
      basis: "derived",
      expected,
      asExpected: expected === null,
    };
  }

  /** Nobody posted this pair: what is expected is what ours reaches, and the blame is theirs where ours serves. */
  #withGuests(): Result {
    const { scenario, guests, base } = this.#init;
    const result = ofStrangers(this.#seated);
    const { conforming } = result;
    const expected = scenario.cells[this.contract] ?? null;
    const oursIs = base.result();
    const isTheirs = isBad(conforming) && !sameVerdict(conforming, oursIs.conforming);
    return {
      ...result,
      packages: packagesWith(result.packages, guests),
      blame: isTheirs ? this.#culprit() : isBad(conforming) ? conformingBlame(oursIs) : "none",
      basis: expected?.basis ?? "derived",
      expected,
      asExpected: expected === null || sameVerdict(conforming, expected.conforming),
    };
  }

  /** The cell as the guests play it, run once. */
  get #seated(): Cell {
    const { scenario, column, host, orders, guests } = this.#init;
    const unposted = { ...scenario, cells: {} };
    this.#guestCell ??= new Cell(unposted, seat(column, guests), bind(scenario, host), () => [], orders);
    return this.#guestCell;
  }

  #culprit(): Blame {
    return this.#init.guests[0]?.plugin.kind ?? "contract";
  }

  /** What broke down says who was in it; of what was said, what a terminal can show. */
  #told(result: Result): Result {
    const { rule, conforming } = result;
    const isBroken = conforming.verdict === "CRASH" || conforming.verdict === "HANG";
    const who = isBroken ? `with ${this.strangers.join(" and ")}: ` : "";
    return { ...result, rule: { ...rule, id: plain(rule.id), text: who + plain(rule.text) } };
  }
}

/**
 * Theirs is played before anything of ours that the result may ask for: what they change on the way is set right before.
 * @throws Error for an answer that is none
 */
function ofStrangers(cell: Cell): Result {
  onCommonGround(() => cell.play());
  const result = onCommonGround(() => cell.result());
  const { errno = "GUEST", stage = "guest" }: { errno?: unknown; stage?: unknown } = result.conforming;
  if (errno !== "GUEST" && !Object.hasOwn(ERRNO, errno as string)) throw new TypeError(`${String(errno)} is no errno`);
  if (!ROW_STAGES.includes(stage as string)) throw new TypeError(`${String(stage)} is no stage`);
  // What cannot be sent to another thread is no data.
  return structuredClone(result);
}

/** Whose doing it is that our pair does not serve. */
function conformingBlame({ blame, conforming }: Result): Blame {
  return isBad(conforming) ? blame : "none";
}

function isBad({ verdict }: Verdict): boolean {
  return verdict !== "OK" && verdict !== "NA";
}

/** A trace in which a stranger may have written: lines of text, and data. */
function asLines(told: NonNullable<ReturnType<Cell["trace"]>>): typeof told {
  const trace = told.trace.map((event) => ({ ...event, task: oneLine(event.task), text: oneLine(event.text) }));
  return structuredClone({ ...told, trace });
}

/** What was thrown may throw as soon as it is looked at. */
function thrown(error: unknown): string {
  try {
    if (error instanceof ChangedGround) return error.message;
    const what = error instanceof Error ? `${error.name}: ${error.message}` : `${typeof error} ${String(error)}`;
    return `threw, or answered what made us throw: ${plain(what)}`;
  } catch {
    return "threw what has no text";
  }
}

function plain(text: string): string {
  const line = oneLine(text);
  return line.length > TEXT_MAX ? `${line.slice(0, TEXT_MAX)} ...` : line;
}

/** Without what moves a terminal's cursor. What has no text throws. */
function oneLine(text: unknown): string {
  return String(text).replaceAll(/\p{Cc}+/gu, " ");
}
