/** An importer that its contract cannot serve: it says so, where it declared to, and leaves nothing. */
import { DmaBufError, type Op, Scheduler } from "@dma-buf/core";
import { countsOf, importerLife, type ImporterWorld } from "./importer-world.js";
import type { Case } from "./kit-case.js";
import { messages } from "./recorder.js";
import type { ImporterSubject } from "./subject.js";

type Refusal = NonNullable<ImporterSubject["refuses"]>;

/** The one case of such an importer. */
export function refusesCase(subject: ImporterSubject, refuses: Refusal): Case {
  const requirement = `${subject.contract.id}/refuses`;
  const { breaches } = importerLife(new Scheduler(), subject, (w) => refused(w, refuses));
  const title = `${requirement}: ${refuses.code} at ${refuses.stage}, and nothing is left`;
  return { requirement, title, breaches: messages(breaches) };
}

function* refused(w: ImporterWorld, { code, stage }: Refusal): Op<void> {
  const { fw, importer, exporter } = w;
  const known = fw.findings.length;
  const wanted = `${code}@${stage}`;
  let answer = yield* answerOf(w, importer.attach(exporter.buf));
  const attached = answer === "ok";
  if (attached) answer = yield* answerOf(w, importer.use());
  if (answer !== wanted) fw.breach("mapAttachment", `answers ${answer} to attach and use, and declares ${wanted}`);
  if (importer.holds() > 0) fw.breach("mapAttachment", `${importer.holds()} run(s) are installed behind a refusal`);
  if (attached) yield* importer.detach();
  // Where the contract itself refuses, the core warns.
  fw.forgetWarnings(known);
}

/** `ERRNO@stage`, or `ok`. What is no refusal is shown as it is. */
function* answerOf(w: ImporterWorld, op: Op<void>): Op<string> {
  const before = countsOf(w);
  try {
    yield* op;
    return "ok";
  } catch (error) {
    checkNothingTaken(w, before);
    return error instanceof DmaBufError ? `${error.code}@${error.stage}` : String(error);
  }
}

/** A refusal leaves everything as it was. */
export function checkNothingTaken(w: ImporterWorld, before: Readonly<Record<string, number>>): void {
  const now = countsOf(w);
  const kept = Object.entries(before).filter(([what, count]) => now[what] !== count);
  if (kept.length === 0) return;
  const said = kept.map(([what, count]) => `${now[what]} ${what} where ${count} were`).join(", ");
  w.fw.breach("detachAttachment", `a refusal leaves ${said}: undo what was done so far`);
}
