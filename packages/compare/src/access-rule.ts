/** Which rule decided how an access, or a wait, ended: a port, a piece of hardware, a row of the contract, an invariant. */
import { type AccessResult, type Contract, describeEnd, type RunEnd } from "@dma-buf/core";
import type { Rule } from "./result.js";

/** What an access of a CPU is stopped by; all else is an IOMMU, or a device. */
const OF_CPUS: readonly string[] = ["a machine check", "an abort", "a page fault"];

/** Memory was reached that was given up (I2): the importer's side of the invalidate says that nobody may. */
export function staleRule({ rows }: Contract, text: string): Rule {
  const row = rows.invalidateMappings;
  if (!row) return { kind: "invariant", id: "I2", text };
  return { kind: "contract", id: row.id, text: `${text}, which by then nobody may (I2)`, source: row.source };
}

/** What stopped an access. */
export function stopRule(who: string, { by, reason }: Extract<AccessResult, { kind: "fault" }>): Rule {
  const kind = OF_CPUS.includes(by) ? "cpu" : by.startsWith("IOMMU") ? "iommu" : "device";
  return { kind, id: by, text: `${who}: ${by} stopped it: ${reason}` };
}

/** What a run waits for that does not end: the end of a revoke, where one is under way. */
export function waitRule(end: Exclude<RunEnd, { kind: "done" }>, isTaken: boolean): Rule {
  const text = describeEnd(end);
  if (end.kind === "deadlock" && isTaken)
    return { kind: "invariant", id: "I8", text: `the revoke does not end: ${text}` };
  const sites = end.waits.map((w) => w.site).filter((site) => site !== "race.join");
  return { kind: "kernel", id: [...new Set(sites)].join(", ") || "scheduler", text };
}
