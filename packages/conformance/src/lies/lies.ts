/** Every lie, told to an importer: it may believe none, it keeps nothing of one, and it lets go cleanly. */
import { arrivalOrder, type Op, Scheduler, type Task } from "@dma-buf/core";
import { importerWorld, type ImporterWorld, last } from "../importer-world.js";
import type { KitCase, Outcome } from "../kit-case.js";
import { checkTrue } from "../reached.js";
import { messages } from "../recorder.js";
import type { ImporterSubject } from "../subject.js";
import { liarOf } from "./liar.js";
import type { Lie } from "./lie.js";
import { nonsenseLies } from "./nonsense.js";
import { tableLies } from "./tables.js";
import { throws } from "./throws.js";

/** Who asks again and again, and gets the same lie, is ended. */
const STEPS_MAX = 20_000;

/** One case for each lie that can be told under the contract. */
export function lies(subject: ImporterSubject): KitCase[] {
  const { rows } = subject.contract;
  const maps = rows.mapDmaBuf !== undefined;
  const asked = rows.getPfn !== undefined;
  // A CPU mapping changes before its notifier is called: there, saying another thing later is no lie.
  const frames = (lie: Lie): boolean => asked || (!maps && !lie.later);
  const throwable = ({ throwsIn }: Lie): boolean => throwsIn !== undefined && throwsIn in rows;
  const tellable = (lie: Lie): boolean =>
    Boolean(lie.instead || throwable(lie) || (maps && lie.runs) || (frames(lie) && lie.frame));
  return [...tableLies, ...nonsenseLies, ...throws]
    .filter(tellable)
    .map((lie) => ({ name: lie.name, run: () => live(subject, lie) }));
}

function live(subject: ImporterSubject, lie: Lie): Outcome {
  const { change, told } = liarOf(lie);
  const w = importerWorld(new Scheduler(arrivalOrder(), STEPS_MAX), subject, { trace: false, change });
  const { importer, exporter, fw } = w;
  const attached = act(w, importer.attach(exporter.buf)).state === "done";
  let believed = false;
  // Again: what is refused once is refused the next time, and what was true stays.
  for (const _ of attached ? ["use", "again"] : []) {
    const { state } = act(w, importer.use());
    believed ||= state === "done";
    checkUse(w, lie, believed, told());
  }
  if (exporter.buf.resv.locked) fw.breach("mapAttachment", "it is ended, and the reservation stays locked");
  else {
    const detached = attached ? act(w, importer.detach()) : null;
    if (detached && detached.state !== "done")
      fw.breach("detachAttachment", `detach() behind a lie is ${detached.state}: ${String(detached.error)}`);
    act(w, last(w));
  }
  const { exporterName } = exporter.buf;
  const named = fw.findings.some((f) => f.party === "exporter" && f.message.includes(exporterName));
  if (lie.throwsIn && told() && !named) fw.breach("mapAttachment", `nothing is booked against ${exporterName}`);
  const known = lie.endless ? `${fw.contract.id}/deadlock` : "";
  const breaches = messages(fw.findings.filter((f) => f.party !== "exporter" && f.requirement !== known));
  const result = told() ? "nothing of it may be installed" : "it is never asked for that";
  return { title: `an exporter lies: ${lie.title}; ${result}`, breaches };
}

/** By itself: who waits for ever is ended, and the next act begins. */
function act({ fw: { scheduler } }: ImporterWorld, op: Op<void>): Task<void> {
  const task = scheduler.spawn("importer", op);
  scheduler.run();
  return task;
}

function checkUse(w: ImporterWorld, lie: Lie, believed: boolean, told: boolean): void {
  const { importer, fw } = w;
  const { exporterName } = w.exporter.buf;
  if (believed && told && !lie.later && !importer.reaches)
    fw.breach("mapAttachment", `use() believes what ${exporterName} cannot mean: check what you are told`);
  if (!believed && importer.holds() > 0)
    fw.breach("mapAttachment", `${importer.holds()} run(s) of what was refused are installed: undo what was begun`);
  checkTrue(w, "mapAttachment", `${exporterName} said so, and it cannot be true: check what you are told`);
}
