/** What a comparison says, and nothing of how it is shown: the documented schema of `--json`. */
import type { ErrnoName, Stage, TraceEvent } from "@dma-buf/core";
import type { Evidence } from "./evidence.js";

/** From good to bad; see `docs/verdicts.md`. */
export const VERDICTS = [
  "OK",
  "DEGRADED",
  "REFUSED",
  "FAULT",
  "CORRUPT",
  "STALE",
  "DISCLOSE",
  "RESLEAK",
  "CRASH",
  "HANG",
  "UNSPEC",
  "NA",
] as const;
export type VerdictKind = (typeof VERDICTS)[number];

export const BLAMES = ["contract", "exporter", "importer", "platform", "none"] as const;
export type Blame = (typeof BLAMES)[number];

/** What an expectation rests on, from the strongest on. */
export const BASES = ["lab", "code", "posted", "reading", "derived", "platform, unverified"] as const;
export type Basis = (typeof BASES)[number];

/**
 * One verdict. `errno` and `stage` stand with REFUSED; `also` names what happened besides, worst first. `unspecified`: the
 * contract does not say which errno, and any will do. `GUEST`: the guest itself refuses, there is no errno of the host.
 */
export interface Verdict {
  readonly verdict: VerdictKind;
  readonly errno?: ErrnoName | "unspecified" | "GUEST";
  readonly stage?: Stage;
  readonly also?: readonly VerdictKind[];
}

/** What the catalogue expects of a cell, with what the expectation rests on. */
export interface Expected {
  readonly asPosted: Verdict;
  readonly conforming: Verdict;
  readonly blame: Blame;
  readonly basis: Basis;
  /** The argument, in a sentence. */
  readonly why?: string;
  /** The id of a rule that it follows from: `scenarios/rules.yaml`. */
  readonly rule?: string;
}

/** What decided, as the machine or the contract has it. */
export interface Rule {
  /**
   * - `contract`: a row, a policy or the life cycle of the contract; `id` is the requirement's. Who passes on what a
   *   callback refused with is decided by the callback's row.
   * - `port`: a bit or a window of a PCI port, or what a root complex forwards; `id` is the port's address with the bits, or
   *   the host bridge's name.
   * - `iommu`, `cpu`, `device`: what that piece of hardware answered.
   * - `invariant`: one of the machine's; `id` is `I1` to `I10`.
   * - `bytes`: which bytes are where.
   * - `kernel`: what an exporter, an importer or the core refused with; `id` is the call.
   * - `readings`: implementations that all obey, and differ.
   * - `scenario`: the file says that it cannot be built.
   */
  readonly kind:
    | "contract"
    | "port"
    | "iommu"
    | "cpu"
    | "device"
    | "invariant"
    | "bytes"
    | "kernel"
    | "readings"
    | "scenario";
  readonly id: string;
  /** One line, with the values of this run. */
  readonly text: string;
  readonly source?: string;
}

/** Orders tried in a race: how many, and whether that was all. */
export interface Schedules {
  readonly explored: number;
  readonly exhausted: boolean;
  /** What bounded the search, in words; not there when it was exhausted. */
  readonly bound?: string;
}

/** One cell: a scenario under a contract. */
export interface Result {
  readonly scenario: string;
  readonly title: string;
  /** What the catalogue calls the exporter: `vfio-pci`, `gpu`. */
  readonly exporter: string;
  /** What it calls the importers, in order, separated by commas. */
  readonly importer: string;
  readonly importerClass: string;
  /** The npm packages that play, ours or yours. */
  readonly packages: readonly string[];
  readonly contract: string;
  /** Where it ran: on devices of the host that was read, or on the catalogue's own topology. */
  readonly topology: "host" | "catalogue";
  /** The functions that played the actors, or why the host could not. */
  readonly binding: string;
  /** Who breaks a rule on purpose, and how; `null`: nobody. Such cells say what a contract contains, and count apart. */
  readonly fault: { readonly party: "exporter" | "importer"; readonly what: string } | null;
  /** What the code that was posted or merged does; `NA` where nobody posted that pair. */
  readonly asPosted: Verdict;
  /** Which code that is: a key of the catalogue's implementations. */
  readonly implementation: string | null;
  /** What the best plugins that obey the contract reach. Only this one judges the contract. */
  readonly conforming: Verdict;
  readonly blame: Blame;
  readonly basis: Basis;
  /** What decided the conforming verdict. */
  readonly rule: Rule;
  /** What decided the posted one; `null` where nobody posted it. */
  readonly postedRule: Rule | null;
  /** Set when the answer depends on something unknown: what was assumed, and the verdict if it is otherwise. */
  readonly unknown?: { readonly assumed: string; readonly otherwise: Verdict };
  /** `null` for a column of yours: nobody said what to expect. */
  readonly expected: Expected | null;
  /** The argument from source, where we disagree with the expected cell. */
  readonly contested?: string;
  /** Do verdicts and blame equal the expected ones? True where nothing was expected. */
  readonly asExpected: boolean;
  /** Only where tasks race. */
  readonly schedules?: Schedules;
}

/** The whole answer of `dma-buf compare --json`. */
export interface Comparison {
  readonly schemaVersion: 2;
  readonly machine: string;
  /** Ids of the columns, in order. */
  readonly contracts: readonly string[];
  readonly results: readonly Result[];
}

/** What `dma-buf explain` prints: the cell, and the trace of its worst and shortest run. */
export interface Explanation {
  readonly schemaVersion: 2;
  readonly result: Result;
  /** Whose run it is. */
  readonly run: "conforming" | "asPosted";
  /** Paste into `replay()` to run that order again. */
  readonly replayToken: string;
  readonly trace: readonly TraceEvent[];
  /** The functions on the way, the ports that each access passed, and the entries that were walked for it. */
  readonly evidence: Evidence;
}
