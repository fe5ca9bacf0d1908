/** A verdict as a scenario writes it, and back: `REFUSED(EINVAL@attach)`. */
import { ERRNO, type ErrnoName, type Stage } from "@dma-buf/core";
import { type Verdict, type VerdictKind, VERDICTS } from "../result.js";

export const STAGES: readonly Stage[] = [
  "export",
  "attach",
  "pin",
  "map",
  "query",
  "mmap",
  "memslot",
  "vcpu-run",
  "guest",
];

/** `null`: it is none. */
export function parseVerdict(text: string): Verdict | null {
  if (text !== "REFUSED" && VERDICTS.includes(text as VerdictKind)) return { verdict: text as VerdictKind };
  const [, errno, stage] = /^REFUSED\((\w+)@([\w-]+)\)$/.exec(text) ?? [];
  if (!errno || !STAGES.includes(stage as Stage)) return null;
  if (!(errno in ERRNO) && errno !== "unspecified" && errno !== "GUEST") return null;
  return { verdict: "REFUSED", errno: errno as ErrnoName, stage: stage as Stage };
}

export const VERDICT_RULE = `one of ${VERDICTS.filter((k) => k !== "REFUSED").join(", ")}, or REFUSED(errno@stage) with a stage of ${STAGES.join(", ")}`;

/** `REFUSED(EINVAL@attach)`, `STALE`. What happened besides is left out. */
export function verdictText({ verdict, errno, stage }: Verdict): string {
  return errno ? `${verdict}(${errno}@${stage})` : verdict;
}

/** Is `found` what `expected` says? */
export function sameVerdict(found: Verdict, expected: Verdict): boolean {
  const sameErrno = expected.errno === "unspecified" || found.errno === expected.errno;
  return found.verdict === expected.verdict && sameErrno && found.stage === expected.stage;
}
