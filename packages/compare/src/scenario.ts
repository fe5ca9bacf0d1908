/** A scenario is a declaration: a topology, actors, steps, expected cells, a source. How it ends is found by running it. */
import type { IommuMode } from "@dma-buf/machine";
import type { Expected } from "./result.js";

/** A part of the buffer in pages: from a page on, so many or all the rest. */
export interface Slice {
  readonly fromPage: number;
  readonly pages: number | "rest";
}

/** What an actor does. `by` is the index of an importer. Offsets and sizes are bytes in the buffer. */
export type Step =
  | { readonly do: "import"; readonly by: number; readonly slice?: Slice }
  | { readonly do: "validate"; readonly by: number }
  | { readonly do: "borrow"; readonly by: number; readonly from: number }
  | { readonly do: "write" | "read"; readonly by: number; readonly offset: number; readonly sizeBytes: number }
  | { readonly do: "revoke" }
  | { readonly do: "memory-decode"; readonly on: boolean }
  | { readonly do: "race"; readonly tasks: Readonly<Record<string, readonly Step[]>> };

export type ImporterKind = "gpu" | "kvm" | "iommufd";

export interface Actor {
  readonly kind: ImporterKind;
  /** What the catalogue calls it: a NIC is played by importer-gpu. */
  readonly role: string;
  /** @defaultValue true */
  readonly retry?: boolean;
}

export interface ScenarioTopology {
  /** T1: below one switch. T2: below root ports of one host bridge. T4: a VM with an assigned device, wired as T2. */
  readonly base: "T1" | "T2" | "T4";
  readonly offset: "zero" | "nonzero";
  readonly iommu: IommuMode;
  /** Does the root complex forward peer requests? The hardware's fact. */
  readonly forwards: "yes" | "no" | "unknown";
  /** Is the host bridge on the kernel's list? Policy. */
  readonly allowlisted: boolean;
  readonly privateMemory?: boolean;
}

export interface Scenario {
  readonly id: string;
  readonly title: string;
  readonly question: string;
  readonly source: string;
  /** The order in which to show it. */
  readonly order: number;
  readonly topology: ScenarioTopology;
  readonly importers: readonly Actor[];
  /** zap, fenced, faulting, pinned: how the importer gives up a translation. */
  readonly importerClass: string;
  readonly steps: readonly Step[];
  /** Who posted or merged this pair, by contract. Not listed: nobody, and the posted verdict is NA. */
  readonly implementations: Readonly<Record<string, string>>;
  readonly expected: Readonly<Record<string, Expected>>;
  /** The argument from source where a cell ends otherwise than expected, by contract. */
  readonly contested?: Readonly<Record<string, string>>;
}

/** Do tasks race in it? Then a verdict says how many orders were tried. */
export function hasRace(scenario: Scenario): boolean {
  return scenario.steps.some((s) => s.do === "race");
}
