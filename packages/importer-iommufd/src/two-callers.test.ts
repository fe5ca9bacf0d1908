/** Two who do something to the same device or access at the same time, in every order: each of them is answered, nothing is left. */
import { DmaBufError, explore, type Op, type Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import type { Access } from "./access.js";
import type { IommufdDevice } from "./device.js";
import type { Hwpt } from "./hwpt.js";
import type { Ioas } from "./ioas.js";
import { paperWorld, type PaperWorld } from "./testing/paper-world.js";

const AT = 0x40_0000n;
const LENGTH = 4096n;
const READ = { write: false };

interface Rig extends Omit<PaperWorld, "access"> {
  readonly device: IommufdDevice;
  readonly other: Ioas;
  /** Pins and copies; in its callback it gives back what {@link pinned} has. */
  readonly access: Access;
  readonly pins: [bigint, bigint][];
}

/** Two pages of the process are mapped, as one area each; the access is attached there. */
function rig(scheduler: Scheduler, id: string): Rig {
  const w = paperWorld(id, scheduler);
  const run = <T>(op: Op<T>): T => scheduler.complete("before", op);
  const pins: [bigint, bigint][] = [];
  const access: Access = w.iommufd.createAccess({
    needsPinPages: true,
    *unmap(): Op<void> {
      for (const [iova, length] of pins.splice(0)) yield* access.unpinPages(iova, length);
    },
  });
  run(access.attach(w.ioas));
  for (const iova of [AT, AT + LENGTH]) run(w.ioas.map({ flags: 7, iova, length: LENGTH, userVa: 0x5000n }));
  const device = w.iommufd.bind({ name: "nic" } as never);
  return { ...w, device, other: w.iommufd.createIoas(), access, pins };
}

type Caller = (r: Rig) => Op<unknown>;

/** The pairs of answers, each once. */
function answers(first: Caller, second: Caller, before: Caller = function* () {}, id = "linux-7.3"): string[] {
  const seen = new Set<string>();
  const play = (scheduler: Scheduler): readonly string[] => {
    const r = rig(scheduler, id);
    scheduler.complete("before", before(r));
    const tasks = [scheduler.spawn("first", first(r)), scheduler.spawn("second", second(r))];
    const end = scheduler.run();
    const told = tasks.map(({ error }) =>
      error instanceof DmaBufError ? error.code : error instanceof Error ? error.message : "ok",
    );
    seen.add(told.join(" "));
    scheduler.complete("close", r.iommufd.close());
    scheduler.complete("put", r.fw.put(r.buf));
    const { references, attachments, mappings, pins } = r.fw.ledger;
    return [
      ...(end.kind === "done" ? [] : [end.kind]),
      ...r.fw.findings.map((f) => f.message),
      ...r.domains.filter((d) => !d.isDestroyed).map(() => "a domain is left"),
      ...(r.pinned.pages + references + attachments + mappings + pins > 0 ? ["pins or references are left"] : []),
      ...[r.ioas, r.other].filter((ioas) => ioas.users > 0 || ioas.space.areaCount > 0).map(() => "an IOAS is in use"),
    ];
  };
  const found = explore(play, { badness: (wrong) => wrong.length, ordersMax: 20_000 });
  expect([found.kind, found.worst.result]).toEqual(["exhausted", []]);
  return [...seen].toSorted();
}

const attach: Caller = (r) => r.device.attach(r.ioas);
const detach: Caller = (r) => r.device.detach();
const pinBoth: Caller = function* (r) {
  yield* r.access.pinPages(AT, 2n * LENGTH, READ);
  r.pins.push([AT, 2n * LENGTH]);
};
const unmapSecond: Caller = (r) => r.ioas.unmap(AT + LENGTH, LENGTH);

it("attach × detach", () => expect(answers(attach, detach)).toEqual(["ok ok"]));

it("attach × attach elsewhere: one of them", () => {
  expect(answers(attach, (r) => r.device.attach(r.other))).toEqual(["EINVAL ok", "ok EINVAL"]);
});

it("replace × detach: to where it is, or from nowhere", () => {
  expect(answers((r) => r.device.replace(r.other), detach, attach)).toEqual(["EINVAL ok", "ok ok"]);
});

it("attach to a table that goes with its last device: before it goes, or ENOENT", () => {
  const second: Caller = (r) => {
    const [hwpt] = [...r.ioas.hwpts] as [Hwpt];
    return r.iommufd.bind({ name: "gpu" } as never).attach(hwpt);
  };
  expect(answers(detach, second, attach)).toEqual(["ok ENOENT", "ok ok"]);
});

it("attach × unbind: of what is unbound, nothing is attached", () => {
  expect(answers(attach, (r) => r.iommufd.unbind(r.device))).toEqual(["ENODEV ok", "ok ok"]);
});

it("an access that copies × UNMAP: all of it, or ENOENT; the unmap never gives up", () => {
  expect(answers((r) => r.access.read(AT, 8192), unmapSecond)).toEqual(["ENOENT ok", "ok ok"]);
});

it("an access that pins two areas × UNMAP of the second: both, or none", () => {
  expect(answers(pinBoth, unmapSecond)).toEqual(["ENOENT ok", "ok ok"]);
});

it("an access that pins × its detach: before, and its callback gives them back; or ENOENT", () => {
  expect(answers(pinBoth, (r) => r.access.detach())).toEqual(["ENOENT ok", "ok ok"]);
});

it("an access that is attached twice at once: to one IOAS", () => {
  const to =
    (ioas: "ioas" | "other"): Caller =>
    (r) =>
      r.access.attach(r[ioas]);
  expect(answers(to("ioas"), to("other"), (r) => r.access.detach())).toEqual(["EINVAL ok", "ok EINVAL"]);
});

it("an access that is attached × DESTROY of the IOAS: it is in use, or gone", () => {
  let attaches = false;
  const access: Caller = function* (r) {
    attaches = true;
    yield* r.access.replace(r.other);
    attaches = false;
  };
  const destroy: Caller = function* (r) {
    const isUnder = attaches;
    yield* r.iommufd.objects.destroy(r.iommufd.objects.idOf(r.other));
    if (isUnder) throw new Error("destroyed under it");
  };
  const seen = answers(access, destroy, function* () {
    attaches = false;
  });
  expect(seen).toEqual(["ok EBUSY", "ok ok"]);
});

it.each(["vma", "pfn", "pfn-locked", "annotated-address", "linux-7.3"])(
  "%s: a buffer is asked for twice at once",
  (id) => {
    const before: Caller = function* (r) {
      yield* r.device.attach(r.ioas);
      yield* r.map();
      yield* r.revoke();
      r.restore();
    };
    const again: Caller = (r) => r.ioas.revalidate();
    expect(answers(again, again, before, id)).toEqual(["ok ok"]);
  },
);
