/** A scenario is a declaration: a topology, actors, steps, expected cells, a source. How it ends is found by running it. */
import type { Modifiers } from "./modifiers.js";
import type { Basis, Blame, Expected, Verdict } from "../result.js";

/** What of the machine a scenario fixes. What it does not name is as the defaults say. */
export interface ScenarioTopology {
  /** T1: below one switch. T2: below root ports of one host bridge. T4: a VM with an assigned device, wired as T2. */
  readonly base: "T1" | "T2" | "T4";
  /** Do bus and CPU count addresses from different zeros? @defaultValue zero */
  readonly offset: "zero" | "nonzero";
  /** ACS request and completion redirect on every port. @defaultValue clear */
  readonly acs: "clear" | "redirect";
  /** Does the root complex forward peer requests? The hardware's fact. @defaultValue unknown */
  readonly forwards: "yes" | "no" | "unknown";
  /** Is the host bridge on the kernel's list? Policy. @defaultValue no */
  readonly allowlisted: "yes" | "no";
  /** @defaultValue off */
  readonly iommu: "off" | "identity" | "translated";
  /** @defaultValue strict */
  readonly flush: "strict" | "lazy";
  /** What only some scenarios ask for, by name: `vm: private memory`, `tdisp: true`, `dmaMask: 44 bit`. */
  readonly modifiers: Modifiers;
}

/** An exporter or importer of the scenario: what the catalogue calls it, and what is special about it. */
export interface ActorSpec {
  /** How steps call it. The exporter is `exporter`. */
  readonly name: string;
  /** A key of the exporter or importer kinds. */
  readonly kind: string;
  /** zap, fenced, faulting, pinned, pinned-revocable, static: how an importer gives up a translation. */
  readonly class?: string;
  /** By the kind's schema. */
  readonly options: Readonly<Record<string, unknown>>;
}

/** Where in its file something stands; lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A contract that is none of ours, where a scenario names it. */
export interface OtherContract {
  readonly id: string;
  readonly field: string;
  readonly at: Position;
}

/** What an actor does, or what several do at once. */
export type Step =
  | {
      readonly do: "act";
      readonly actor: string;
      readonly action: string;
      /** By the action's schema. */
      readonly args: unknown;
      /** A refusal or a fault of this step is the verdict even where the memory was taken away before. */
      readonly isAnswer: boolean;
      readonly at: Position;
    }
  | { readonly do: "race"; readonly tasks: Readonly<Record<string, readonly Step[]>>; readonly at: Position };

/** How another implementation, which obeys the contract as well, would play: what it changes of the scenario. */
export interface Reading {
  readonly name: string;
  readonly exporter?: Readonly<Record<string, unknown>>;
  /** By the importer's name. */
  readonly importers?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly steps?: readonly Step[];
  /** Is there posted code that plays so? */
  readonly posted: boolean;
  /** Contracts under which it is read so; all without. */
  readonly contracts?: readonly string[];
}

/** Who breaks a rule on purpose, and how. */
export interface Fault {
  readonly party: "exporter" | "importer";
  readonly what: string;
  /**
   * The calls whose rows forbid it. Under a contract that has none of them it is allowed, and what comes of it is the
   * contract's doing. Not given: every contract forbids it.
   */
  readonly breaks?: readonly string[];
}

export interface Scenario {
  readonly id: string;
  readonly title: string;
  readonly question: string;
  readonly source: string;
  /** The order in which to show the ones to show first; `null`: after those, by id. */
  readonly order: number | null;
  readonly topology: ScenarioTopology;
  readonly exporter: ActorSpec;
  readonly importers: readonly ActorSpec[];
  readonly fault: Fault | null;
  /** The machine's invariants that it is about. */
  readonly invariants: readonly string[];
  readonly note?: string;
  /** Steps without which there is no question: where one is refused, the cell is `NA`. */
  readonly given: readonly Step[];
  readonly steps: readonly Step[];
  /** Where the contract is silent: one each for implementations that differ. A cell in which they do is `UNSPEC`. */
  readonly readings: readonly Reading[];
  /** Contracts under which the situation cannot be built, and why: the cell is `NA`. */
  readonly unbuildable: Readonly<Record<string, string>>;
  readonly cells: Readonly<Record<string, ScenarioCell>>;
  /** Contracts that it names and that are none of ours; not there: none. */
  readonly otherContracts?: readonly OtherContract[];
  readonly file: string;
}

export interface ScenarioCell extends Expected {
  readonly asPosted: Verdict;
  readonly conforming: Verdict;
  readonly blame: Blame;
  readonly basis: Basis;
  /** Which code is the posted one; not there: nobody posted that pair. */
  readonly implementation?: string;
  /** The argument from source where the cell ends otherwise than expected. */
  readonly contested?: string;
}

/** Do tasks race in it? Then a verdict says how many orders were tried. */
export function hasRace({ given, steps, readings }: Scenario): boolean {
  return [given, steps, ...readings.map((r) => r.steps ?? [])].some((list) => list.some((s) => s.do === "race"));
}
