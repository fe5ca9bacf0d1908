/** Importers that lie or break their promise, against an exporter that must not: it waits, by name, and keeps its state. */
import { type DmaBuf, type DmaBufAttachment, DmaFence, type Op, Scheduler, until, Usage } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { KitCase } from "./kit-case.js";
import { messages } from "./recorder.js";
import type { ExporterSubject } from "./subject.js";
import {
  accessOf,
  checkNothingLeft,
  deviceOf,
  type ExporterWorld,
  importerFor,
  lifeOf,
  type Way,
  WAYS,
  freshWorld,
} from "./world.js";

/** Modelled ticks in which whoever can run has run: what is not over by then hangs. */
const PATIENCE_TICKS = 10_000;
const LIAR = "importer that lies";

interface Misbehaviour {
  readonly name: string;
  readonly title: string;
  /** Does it leave something that nobody can give back any more? */
  readonly leaks?: boolean;
  misbehave(w: ExporterWorld, buf: DmaBuf): Op<void>;
}

/** One case for each misbehaviour that the exporter can meet. */
export function misbehaviours(subject: ExporterSubject): KitCase[] {
  return of(subject).map((wrong) => ({
    name: wrong.name,
    run: () => ({ title: wrong.title, breaches: live(subject, wrong) }),
  }));
}

function of({ contract, capabilities }: ExporterSubject): Misbehaviour[] {
  const { drain } = contract.policy;
  const list: Misbehaviour[] = [noPeer];
  if (capabilities.includes("map")) {
    list.push(leftMap);
    if (capabilities.includes("revoke") && drain.includes("unmap")) list.push(keptMap, secondMap);
  }
  if (drain.includes("fences")) for (const way of WAYS) if (capabilities.includes(way)) list.push(fenceOf(way));
  return list;
}

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

const keptMap: Misbehaviour = {
  name: "kept-map",
  title: "an importer ignores its callback, and revoke waits for its unmap, by name",
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    const table = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    const unmap = w.fw.unmapAttachmentUnlocked(at, table, "bidirectional");
    yield* waits(w, "revoke", "an importer still maps", unmap);
    yield* w.fw.detachAttachment(buf, at);
  },
};

const secondMap: Misbehaviour = {
  name: "second-map",
  title: "an importer maps twice and unmaps once, and revoke waits for the other, by name",
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    const first = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    const second = yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    yield* w.fw.unmapAttachmentUnlocked(at, first, "bidirectional");
    const unmap = w.fw.unmapAttachmentUnlocked(at, second, "bidirectional");
    yield* waits(w, "revoke", "the second of two maps is out", unmap);
    yield* w.fw.detachAttachment(buf, at);
  },
};

const fenceOf = (way: Way): Misbehaviour => ({
  name: `${way}-fence`,
  title: `a fence does not signal, and ${way} waits for it, by name`,
  *misbehave(w, buf) {
    const importer = importerFor(w);
    yield* importer.attach(buf, deviceOf(w));
    yield* importer.use();
    const fence = yield* addFence(w, buf);
    yield* waits(w, way, "a fence in the reservation has not signalled", signal(fence));
    yield* importer.detach();
  },
});

const leftMap: Misbehaviour = {
  name: "left-map",
  title: "an importer detaches with a map: others are served, and the buffer is released",
  leaks: true,
  *misbehave(w, buf) {
    const at = yield* liar(w, buf);
    yield* w.fw.mapAttachmentUnlocked(at, "bidirectional");
    yield* w.fw.detachAttachment(buf, at);
  },
};

const noPeer: Misbehaviour = {
  name: "no-peer",
  title: "a device that is on no PCI bus claims peer-to-peer: served or refused, and nothing is left",
  *misbehave(w, buf) {
    const importer = importerFor(w);
    const { device } = w.host;
    const spaces = device.spaces.filter((s) => s.kind !== "pci-bus");
    if (!(yield* accepted(importer.attach(buf, { ...device, name: "platform device", spaces })))) return;
    yield* accepted(importer.use());
    yield* importer.detach();
  },
};

/** Attached, with a callback that does nothing. */
function liar(w: ExporterWorld, buf: DmaBuf): Op<DmaBufAttachment> {
  const ops = { allowPeer2peer: true, invalidateMappings() {} };
  return w.fw.dynamicAttach(buf, deviceOf(w), { name: LIAR, ops });
}

/** Nobody amends what is wrong until all is quiet: by then the exporter must still wait, and say for whom. */
function* waits({ fw, exporter }: ExporterWorld, way: Way, wrong: string, amend: Op<void>): Op<void> {
  const { scheduler } = fw;
  const op = exporter[way]?.call(exporter);
  if (!op) return;
  const task = scheduler.spawn("exporter", accepted(op));
  const over = (): boolean => task.state !== "runnable";
  yield* until("kit.patience", over, () => `${way}()`, scheduler.now + PATIENCE_TICKS);
  const says = task.wait?.blockedOn?.() ?? "nothing";
  if (task.result === true) fw.breach("invalidate", `${way}() returns although ${wrong}: wait for it`);
  else if (!over() && !says.includes(LIAR))
    fw.breach("invalidate", `${way}() waits for ${says}: name who is awaited, ${LIAR}`);
  yield* amend;
  yield* until("kit.join", over, () => `${way}()`);
  if (task.state === "failed") fw.breach("invalidate", `${way}() fails: ${String(task.error)}`);
  if (way === "revoke" && exporter.restore) yield* exporter.restore();
}

function* addFence({ fw }: ExporterWorld, { resv }: DmaBuf): Op<DmaFence> {
  using held = yield* resv.lock();
  resv.reserveFences(held, 1);
  const names = { driverName: () => LIAR, timelineName: () => "jobs" };
  const fence = new DmaFence(fw.env, names, fw.env.allocContexts(1), 1);
  resv.addFence(held, fence, Usage.BOOKKEEP);
  return fence;
}

function* signal(fence: DmaFence): Op<void> {
  fence.signal();
  fence.put();
}
