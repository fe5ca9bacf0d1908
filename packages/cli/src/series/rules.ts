/** Which rules a proposal changes: calls, locks, errnos, lifetimes. */
import { type CallName, type Contract, kernelName } from "@dma-buf/core";
import { compareContracts, type Difference } from "../contract.js";

/** What kind of rule a fact of a row belongs to. What a call does, and what it is called, is no rule. */
const KINDS: Readonly<Record<string, string>> = {
  presence: "call",
  reservation: "lock",
  sleeps: "lock",
  errors: "errno",
  result: "life",
};

/** A rule that changed, and what kind of rule it is: `lock`, `errno`. */
export interface RuleChange {
  readonly kind: string;
  readonly text: string;
}

/** Calls that come and go first. */
export function ruleChanges(before: Contract, after: Contract): RuleChange[] {
  const { onlyFirst, onlySecond, different } = compareContracts(before, after);
  return [
    ...onlySecond.map((call) => ({ kind: "call", text: `+ ${call}: ${newRow(after, call)}` })),
    ...onlyFirst.map((call) => ({ kind: "call", text: `- ${call}` })),
    ...different.flatMap(changed),
  ];
}

/** Lock and errnos of a call that is new; `call` as the comparison of contracts names it. */
function newRow(contract: Contract, call: string): string {
  const rows = Object.entries(contract.rows) as [CallName, NonNullable<Contract["rows"][CallName]>][];
  const row = rows.find(([name, { party }]) => `${kernelName(contract, name)} (${party})` === call)?.[1];
  const held = { held: "reservation held", free: "reservation not held", either: "reservation held or not" } as const;
  return row
    ? [held[row.resv], row.maySleep ? "may sleep" : "must not sleep", ...Object.keys(row.errors)].join(", ")
    : "";
}

function changed({ what, first, second }: Difference): RuleChange[] {
  const [subject = "", fact = ""] = what.split(": ");
  if (subject === "may be called when")
    return [{ kind: "life", text: `${fact}: ${listChanges(callsOf(first), callsOf(second))}` }];
  if (subject === "policy") return [{ kind: "policy", text: `${fact}: ${first} -> ${second}` }];
  const kind = KINDS[fact];
  if (!kind) return [];
  if (kind === "errno") return [{ kind, text: `${subject}: ${codeChanges(first, second)}` }];
  return [{ kind, text: `${subject}: ${clauseChanges(first, second)}` }];
}

/** `mandatory, together with x` to `optional, together with x`: what both end with goes without saying. */
function clauseChanges(first: string, second: string): string {
  const [[a = "", ...same], [b = "", ...other]] = [first.split(", "), second.split(", ")];
  return same.join() === other.join() ? `${a} -> ${b}` : `${first || "nothing"} -> ${second || "nothing"}`;
}

function callsOf(text: string): string[] {
  return text === "nothing" ? [] : text.split(", ");
}

function codeChanges(first: string, second: string): string {
  const codes = (text: string): string[] =>
    [...text.matchAll(/(?:^|, )(E[A-Z0-9]+) \(/g)].map(([, code]) => code as string);
  return listChanges(codes(first), codes(second)) || "for other causes";
}

function listChanges(first: readonly string[], second: readonly string[]): string {
  const added = second.filter((word) => !first.includes(word)).map((word) => `+ ${word}`);
  const removed = first.filter((word) => !second.includes(word)).map((word) => `- ${word}`);
  return [...added, ...removed].join(", ");
}
