/** Importers that lie or break their promise, against an exporter that must not: it waits, by name, and keeps its state. */
import { Scheduler } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import type { KitCase } from "../kit-case.js";
import { messages } from "../recorder.js";
import type { ExporterSubject } from "../subject.js";
import { accessOf, checkNothingLeft, deviceOf, freshWorld, importerFor, lifeOf, WAYS } from "../world.js";
import { callbackFenceOf, fenceOf } from "./fences.js";
import { asksInCallback } from "./in-callback.js";
import { keptMap, leftMap, secondMap } from "./maps.js";
import type { Misbehaviour } from "./misbehaviour.js";
import { noPeer } from "./no-peer.js";

/** One case for each misbehaviour that the exporter can meet. */
export function misbehaviours(subject: ExporterSubject): KitCase[] {
  return metBy(subject).map((wrong) => ({
    name: wrong.name,
    run: () => ({ title: wrong.title, breaches: live(subject, wrong) }),
  }));
}

function metBy({ contract, capabilities }: ExporterSubject): Misbehaviour[] {
  const { drain } = contract.policy;
  const list: Misbehaviour[] = [noPeer];
  if (capabilities.includes("map")) {
    list.push(leftMap);
    if (capabilities.includes("revoke") && drain.includes("unmap")) list.push(keptMap, secondMap);
  }
  if (capabilities.includes("revoke")) list.push(...asksInCallback(capabilities, contract));
  if (drain.includes("fences"))
    for (const way of WAYS) if (capabilities.includes(way)) list.push(fenceOf(way), callbackFenceOf(way));
  return list;
}

/** Behind the one that does wrong comes one that does right. */
function live(subject: ExporterSubject, { misbehave, leaks = false }: Misbehaviour): string[] {
  const fresh = freshWorld(new Scheduler(), subject);
  const check = leaks ? () => {} : checkNothingLeft;
  lifeOf(
    fresh,
    subject,
    function* (w, buf) {
      yield* misbehave(w, buf);
      const other = importerFor(w);
      yield* other.attach(buf, deviceOf(w));
      if (!(yield* accepted(other.use()))) w.fw.breach(accessOf(w), "refuses every importer after one misbehaved");
      yield* other.detach();
      yield* w.fw.put(buf);
    },
    check,
  );
  // What the importer broke is known; who must not break anything is the exporter.
  return messages(fresh.fw.findings.filter((f) => f.party !== "importer"));
}
