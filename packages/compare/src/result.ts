/** What a comparison says, and nothing of how it is shown: the documented schema of `--json`. */
import type { ErrnoName, Stage, TraceEvent } from "@dma-buf/core";

/** From good to bad; see `docs/verdicts.md`. */
export type VerdictKind =
  | "OK"
  | "DEGRADED"
  | "REFUSED"
  | "FAULT"
  | "CORRUPT"
  | "STALE"
  | "DISCLOSE"
  | "RESLEAK"
  | "CRASH"
  | "HANG"
  | "UNSPEC"
  | "NA";

/** One verdict. `errno` and `stage` stand with REFUSED; `also` names what happened besides, worst first. */
export interface Verdict {
  readonly verdict: VerdictKind;
  readonly errno?: ErrnoName;
  readonly stage?: Stage;
  readonly also?: readonly VerdictKind[];
}

export type Blame = "contract" | "exporter" | "importer" | "platform" | "none";

/** What the catalogue expects of a cell, with what the expectation rests on. */
export interface Expected {
  readonly asPosted: Verdict;
  readonly conforming: Verdict;
  readonly blame: Blame;
  readonly basis: "lab" | "code" | "posted" | "reading" | "derived" | "platform, unverified";
}

/** Orders tried in a race: how many, and whether that was all. */
export interface Schedules {
  readonly explored: number;
  readonly exhausted: boolean;
}

/** One cell: a scenario under a contract. */
export interface Result {
  readonly scenario: string;
  readonly title: string;
  readonly exporter: string;
  readonly importer: string;
  readonly importerClass: string;
  readonly contract: string;
  /** Where it ran: on devices of the host that was read, or on the catalogue's own topology. */
  readonly topology: "host" | "catalogue";
  /** The functions that played the actors, or why the host could not. */
  readonly binding: string;
  /** What the code that was posted or merged does; `NA` where nobody posted that pair. */
  readonly asPosted: Verdict;
  /** What the best plugins that obey the contract reach. Only this one judges the contract. */
  readonly conforming: Verdict;
  readonly blame: Blame;
  readonly basis: Expected["basis"];
  /** What decided, in one line, taken from what happened. */
  readonly rule: string;
  /** Set when the answer depends on something unknown: what was assumed, and the verdict if it is otherwise. */
  readonly unknown?: { readonly assumed: string; readonly otherwise: Verdict };
  /** `null` for a column of yours: nobody said what to expect. */
  readonly expected: Expected | null;
  /** The argument from source, where we disagree with the expected cell. */
  readonly contested?: string;
  /** Do verdicts and blame equal the expected ones? True where nothing was expected. */
  readonly asExpected: boolean;
  readonly schedules?: Schedules;
}

/** The whole answer of `dma-buf compare --json`. */
export interface Comparison {
  readonly schemaVersion: 1;
  readonly machine: string;
  readonly results: readonly Result[];
}

/** What `dma-buf explain` prints: the cell, and the trace of its worst and shortest run. */
export interface Explanation {
  readonly schemaVersion: 1;
  readonly result: Result;
  /** Whose run it is. */
  readonly run: "conforming" | "asPosted";
  /** Paste into `replay()` to run that order again. */
  readonly replayToken: string;
  readonly trace: readonly TraceEvent[];
}
