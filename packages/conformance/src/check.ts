/** Runs all that is tried and says, requirement by requirement, what was kept. */
import { rowsOf } from "@dma-buf/core";
import { tryExporter } from "./exporter-cases.js";
import { tryImporter } from "./importer-cases.js";
import type { Case } from "./kit-case.js";
import type { CheckOptions } from "./orders.js";
import type { ExporterSubject, ImporterSubject } from "./subject.js";

/**
 * One case for each row of the contract that a plugin of this kind can break and that was tried, in the contract's
 * order, and one for every call coming back. What a plugin does not declare is tried too: it must be absent or refuse.
 * @example
 * check(subject).filter(({ breaches }) => breaches.length > 0); // []
 */
export function check(subject: ExporterSubject | ImporterSubject, options: CheckOptions = {}): Case[] {
  const { breaches, tried, orders, more } =
    subject.kind === "exporter" ? tryExporter(subject, options) : tryImporter(subject, options);
  const { contract } = subject;
  const cases = rowsOf(contract).flatMap(([call, { id, does }]) => {
    const note = orders && call === "invalidateMappings" ? ` (${orders})` : "";
    return tried.has(call) ? [{ requirement: id, title: `${id}: ${does}${note}` }] : [];
  });
  cases.push({ requirement: `${contract.id}/deadlock`, title: `${contract.id}/deadlock: every call comes back` });
  const known = new Set(cases.map((c) => c.requirement));
  for (const { requirement } of breaches)
    if (!known.has(requirement)) {
      known.add(requirement);
      cases.push({ requirement, title: requirement });
    }
  const ofRows = cases.map((c) => ({
    ...c,
    breaches: [...new Set(breaches.filter((b) => b.requirement === c.requirement).map((b) => b.message))],
  }));
  return [...ofRows, ...more];
}

/** What a test runner offers; vitest, Jest and node:test fit. */
export interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, body: () => void): void;
}

/**
 * Binds the cases to a test runner, in one line. A broken requirement throws, with every way in which it was broken.
 * @example
 * import { describe, it } from "vitest";
 * conformance({ describe, it }, subject);
 * conformance({ describe, it }, subject, { stepsMax: 1_000_000 }); // more orders, and more time
 */
export function conformance(
  runner: Runner,
  subject: ExporterSubject | ImporterSubject,
  options: CheckOptions = {},
): void {
  runner.describe(`${subject.name} keeps ${subject.contract.id}`, () => {
    for (const { title, requirement, breaches } of check(subject, options))
      runner.it(title, () => {
        if (breaches.length > 0) throw new Error(`${subject.name} breaks ${requirement}: ${breaches.join("; ")}`);
      });
  });
}
