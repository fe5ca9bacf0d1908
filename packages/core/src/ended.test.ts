/** A task that is ended in the middle of a call, at every step of it, leaves nothing behind: in the core, nor at the exporter. */
import { expect, it } from "vitest";
import { addr, type Pfn } from "./address.js";
import { contracts } from "./contracts/all.js";
import type { DmaBuf, DmaBufAttachOps, DmaBufOps } from "./dma-buf.js";
import { Framework } from "./framework.js";
import { type Op, point, until } from "./op.js";
import { type RunEnd, Scheduler } from "./scheduler.js";
import { arrivalOrder } from "./strategy.js";
import { device, importer, kit, moves, table } from "./testing.js";

/** An exporter whose every callback sleeps, and what was taken of it and not given back. */
function sleeper(isDynamic: boolean) {
  const out = { attach: 0, pin: 0, map: 0 };
  const counted = (what: keyof typeof out, by: 1 | -1) =>
    function* (): Op<void> {
      yield* point(what);
      out[what] += by;
    };
  const pins = { pin: counted("pin", 1), unpin: counted("pin", -1) };
  const ops: DmaBufOps = {
    attach: counted("attach", 1),
    detach: counted("attach", -1),
    ...(isDynamic ? pins : {}),
    *mapDmaBuf() {
      yield* counted("map", 1)();
      return table();
    },
    unmapDmaBuf: counted("map", -1),
    getPfn: (_at, pgoff) => ({ pfn: addr<Pfn>(0x100 + pgoff), maxOrder: 0 }),
    mmap() {},
    release() {},
  };
  return { ops, out };
}

const CASES = contracts.flatMap((contract) =>
  [true, false].flatMap((isDynamic) =>
    [importer, null].map((ops): [string, typeof contract, boolean, DmaBufAttachOps | null] => {
      const sides = `a ${isDynamic ? "dynamic" : "static"} exporter, a ${ops ? "dynamic" : "static"} importer`;
      return [`${contract.id}: ${sides}`, contract, isDynamic, ops];
    }),
  ),
);

it.each(CASES)("attach under %s", (_name, contract, isDynamic, ops) => {
  let steps = 0;
  for (let end: RunEnd["kind"] = "step-limit"; end === "step-limit"; steps++) {
    const { ops: exporter, out } = sleeper(isDynamic);
    const scheduler = new Scheduler(arrivalOrder(), steps);
    const fw = new Framework({ contract, scheduler });
    const buf = fw.export({ exporterName: "x", ops: exporter, sizeBytes: 16384, priv: {} });
    scheduler.spawn("importer", fw.dynamicAttach(buf, device, { name: "imp", ops }));
    end = scheduler.run().kind;
    const { ledger, findings } = fw;
    const attached = end === "done" ? 1 : 0;
    expect([steps, ledger.attachments, out.attach]).toEqual([steps, attached, attached]);
    expect([steps, ledger.mappings, ledger.pins]).toEqual([steps, out.map, out.pin]);
    if (end !== "done") expect([steps, out.map, out.pin]).toEqual([steps, 0, 0]);
    expect(findings.filter((f) => !f.requirement.endsWith("/step-limit"))).toEqual([]);
  }
  expect(steps).toBeGreaterThan(2);
});

it.each(contracts)("$id: attach while another task holds the reservation, for ever", (contract) => {
  const { ops, out } = sleeper(true);
  const { fw, scheduler, exported } = kit(contract);
  const buf = exported(ops);
  scheduler.spawn("holder", holdForEver(buf));
  scheduler.spawn("importer", fw.dynamicAttach(buf, device, { name: "imp", ops: importer }));
  expect(scheduler.run().kind).toBe("deadlock");
  expect([fw.ledger.attachments, out.attach, buf.resv.locked]).toEqual([0, 0, false]);
});

it.each(contracts)(
  "$id: a callback that takes everything does not keep the end: the call does not go on",
  (contract) => {
    const { fw, scheduler, exported, attach, complete } = kit(contract);
    const buf = exported({
      ...sleeper(true).ops,
      *beginCpuAccess() {
        try {
          yield* until("never", () => false);
        } catch {
          // As a careless exporter does.
        }
      },
    });
    const log: string[] = [];
    const at = attach(buf);
    scheduler.spawn(
      "importer",
      (function* (): Op<void> {
        yield* fw.beginAccess(buf, "to-device");
        log.push("goes on");
      })(),
    );
    expect(scheduler.run().kind).toBe("deadlock");
    expect(log).toEqual([]);
    complete(fw.detachAttachment(buf, at));
    expect(fw.findings.map((f) => f.requirement)).toEqual([`${contract.id}/deadlock`]);
  },
);

it.each(contracts)("$id: what a callback makes of the end is no finding", (contract) => {
  const { fw, scheduler, exported } = kit(contract);
  const buf = exported({
    ...sleeper(true).ops,
    *beginCpuAccess() {
      try {
        yield* until("never", () => false);
      } catch (cause) {
        throw new Error("the cache was not flushed", { cause });
      }
    },
  });
  scheduler.spawn("importer", fw.beginAccess(buf, "to-device"));
  expect(scheduler.run().kind).toBe("deadlock");
  expect(fw.findings.map((f) => f.requirement)).toEqual([`${contract.id}/deadlock`]);
});

it("a vmap that is ended is no refusal of the exporter's", () => {
  const { fw, scheduler, exported } = kit(contracts[0] as (typeof contracts)[number]);
  const buf = exported({ ...moves, vmap: () => until("never", () => false) as never, vunmap() {} });
  scheduler.spawn("importer", fw.vmapBufferUnlocked(buf));
  scheduler.run();
  expect([fw.findings.map((f) => f.level), buf.resv.locked]).toEqual([["violation"], false]);
});

function* holdForEver(buf: DmaBuf): Op<void> {
  using _held = yield* buf.resv.lock();
  yield* until("never", () => false);
}
