/**
 * Whose doing a bad verdict is, found by experiment: what would have happened with the other exporter, under another
 * contract, on a calmer machine.
 */
import { type CallName, type Contract, kernelName } from "@dma-buf/core";
import { badness } from "./judge.js";
import type { Played } from "./readings.js";
import type { Blame, Verdict } from "./result.js";
import { sameVerdict } from "./scenario/verdict-text.js";
import type { Fault, Scenario } from "./scenario/scenario.js";

/** The experiments. Each is run when it is asked for. */
export interface Counterfactuals {
  /** The posted importer with the exporter that the contract allows. */
  withGoodExporter(): Verdict;
  /** The conforming pair on a machine without limits and events, whose kernel's policy is what the hardware does. */
  onCalmPlatform(): Verdict;
  /** Does another contract of dma-buf serve this? A CPU mapping does without dma-buf, and is not asked. */
  otherContractServes(): boolean;
}

export interface Case {
  readonly contract: Contract;
  readonly fault: Scenario["fault"];
  readonly posted: Played | null;
  readonly conforming: Played;
}

/**
 * The conforming verdict first: what it is to blame on stands for both where the posted one is no worse, or differs in errno
 * and stage alone. Where the posted one is worse, or refuses what the conforming one serves, it is the side whose
 * replacement mends it: who refuses never gets to the rest.
 */
export function blame(cell: Case, what: Counterfactuals): Blame {
  const { posted, conforming } = cell;
  const own = ofConforming(cell, what);
  if (!posted || sameVerdict(posted.verdict, conforming.verdict)) return own;
  // Who may do either cannot be blamed for doing one.
  if (conforming.verdict.verdict === "UNSPEC") return own;
  // What nobody who obeys can do, the contract forbids itself.
  if (conforming.verdict.verdict === "NA") return isBad(posted.verdict) ? "contract" : "none";
  const isSameKind = posted.verdict.verdict === conforming.verdict.verdict;
  const isWorse = posted.verdict.verdict === "REFUSED" || badness(posted.verdict) > badness(conforming.verdict);
  if (own !== "none" && (isSameKind || !isWorse)) return own;
  return sameVerdict(what.withGoodExporter(), conforming.verdict) ? "exporter" : "importer";
}

function ofConforming(cell: Case, what: Counterfactuals): Blame {
  const { verdict } = cell.conforming;
  const broke = cell.conforming.violations.find((f) => f.party !== "framework")?.party as Blame | undefined;
  if (!isBad(verdict)) return broke ?? "none";
  if (verdict.verdict === "UNSPEC") return ofFault(cell);
  if (verdict.verdict === "REFUSED") return ofRefusal(cell, what);
  if (cell.fault) return broke ?? ofFault(cell);
  if (broke) return broke;
  if (what.otherContractServes()) return "contract";
  if (isBetter(what.onCalmPlatform(), verdict)) return "platform";
  // No contract has a better path, and nobody broke a rule: the hardware has none.
  return verdict.verdict === "DEGRADED" ? "platform" : "contract";
}

/** A refusal is right, and nobody's doing, unless somebody withholds what could be had. */
function ofRefusal({ contract, fault, conforming }: Case, what: Counterfactuals): Blame {
  const { error } = conforming;
  if (error && isWithheld(contract, error)) return "contract";
  if (fault) return "none";
  if (what.otherContractServes()) return "contract";
  return isBetter(what.onCalmPlatform(), conforming.verdict) ? "platform" : "none";
}

/**
 * The core lets nobody attach who has no device; behind a CPU mapping there are no pages to pin. What the core passes on, it
 * has from the exporter.
 */
function isWithheld(contract: Contract, { op, stage, cause }: NonNullable<Played["error"]>): boolean {
  const attaches = [kernelName(contract, "dynamicAttach"), kernelName(contract, "staticAttach")];
  return (
    (stage === "attach" && attaches.includes(op) && cause === undefined) ||
    op === "pin_user_pages" ||
    op === "hmm_range_fault"
  );
}

function ofFault({ contract, fault }: Case): Blame {
  return fault && forbids(contract, fault) ? fault.party : "contract";
}

/** Has the contract a call, or a backing, whose rules this fault breaks? */
function forbids({ rows, policy }: Contract, { breaks }: Fault): boolean {
  const backing: readonly CallName[] = policy.backing;
  const has = (call: CallName): boolean => backing.includes(call) || rows[call]?.party === "framework";
  return breaks?.some((call) => has(call as CallName)) ?? true;
}

function isBad({ verdict }: Verdict): boolean {
  return verdict !== "OK" && verdict !== "NA";
}

function isBetter(other: Verdict, than: Verdict): boolean {
  return badness(other) < badness(than);
}
