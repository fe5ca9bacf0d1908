/** What must hold whatever the contract: ten statements about a run, checked against what happened in it. */
import {
  afterDrain,
  afterFence,
  type Breach,
  privateReached,
  wrongAttribute,
  wrongSpace,
} from "./invariants-access.js";
import type { Evidence } from "./invariants-evidence.js";
import { mappedOutside, neverDrained, notGivenBack, refusedLeavesState, surfacedLate } from "./invariants-resource.js";

export type InvariantId = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I7" | "I8" | "I9" | "I10";

/** One invariant. */
export interface Invariant {
  readonly id: InvariantId;
  readonly says: string;
  readonly check: (evidence: Evidence) => Iterable<Breach>;
  /** Pieces of evidence that it looks at. None: that it holds says nothing. */
  readonly looksAt: (evidence: Evidence) => number;
}

/** An invariant that did not hold: what happened, when, and who did it. */
export interface Violation extends Breach {
  readonly invariant: InvariantId;
}

export const INVARIANTS: readonly Invariant[] = [
  {
    id: "I1",
    says: "every address put on a wire belongs to that wire's space",
    check: wrongSpace,
    looksAt: (e) => e.given.length,
  },
  { id: "I2", says: "no access after the drain", check: afterDrain, looksAt: (e) => drained(e) },
  { id: "I3", says: "no write after the fences retire", check: afterFence, looksAt: (e) => retired(e) },
  { id: "I4", says: "a refused operation leaves nothing behind", check: refusedLeavesState, looksAt: refusals },
  {
    id: "I5",
    says: "every mapped byte is inside the exported ranges, once",
    check: mappedOutside,
    looksAt: (e) => e.mapped.length,
  },
  {
    id: "I6",
    says: "private bytes only by the owner's trusted path",
    check: privateReached,
    looksAt: (e) => e.privateSpans.length,
  },
  {
    id: "I7",
    says: "what is taken is given back, once",
    check: notGivenBack,
    looksAt: (e) => e.turns.length + (e.books ? 1 : 0),
  },
  {
    id: "I8",
    says: "a revoke ends if importers keep their promise",
    check: neverDrained,
    looksAt: (e) => e.revocations.length,
  },
  {
    id: "I9",
    says: "the attribute of every mapping is its owner's",
    check: wrongAttribute,
    looksAt: (e) => e.attributes.length,
  },
  {
    id: "I10",
    says: "an error comes at the earliest stage at which its fact is known",
    check: surfacedLate,
    looksAt: (e) => e.refused.filter((r) => r.known !== null).length,
  },
];

/** Checks a run that has ended. Violations stand in the order of the invariants, then of their steps. */
export function checkInvariants(evidence: Evidence): Violation[] {
  return INVARIANTS.flatMap(({ id, check }) =>
    [...check(evidence)].toSorted((a, b) => a.step - b.step).map((breach) => ({ invariant: id, ...breach })),
  );
}

function drained({ revocations }: Evidence): number {
  return revocations.filter((r) => r.drained).length;
}

function retired({ fenced }: Evidence): number {
  return fenced.filter((f) => f.retired).length;
}

function refusals({ refused }: Evidence): number {
  return refused.filter((r) => r.code !== null).length;
}
