import { BugSignal, DmaBufError, Framework, linux73, type Op, Scheduler, until } from "@dma-buf/core";
import { refusal } from "@dma-buf/config/refusal";
import { RecordingHost } from "@dma-buf/conformance";
import { expect, it } from "vitest";
import type { MemorySection, VfioExporter } from "./exporter.js";
import { hotReset, type HotReset } from "./hot-reset.js";
import { vfioExporter } from "./linux-7.3.js";
import { fakeHost, PAGE, TestImporter } from "./testing.js";

/** Three functions below one bus, each with a buffer that somebody attached. */
function world() {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: linux73, scheduler });
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const { device } = new RecordingHost();
  const members = ["0000:01:00.0", "0000:01:00.1", "0000:01:00.2"].map((name) => {
    const host = fakeHost(name);
    const exporter = vfioExporter()(fw, host);
    const buf = run(exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] }));
    const importer = new TestImporter(fw, name);
    const at = run(importer.attach(buf, device));
    return { host, exporter, importer, canMap: () => refusal(() => run(importer.map(at))) === "ok" };
  });
  const set = members.map((m) => m.exporter);
  const log: string[] = [];
  const reset = (how: Partial<HotReset> = {}): string =>
    refusal(() =>
      run(
        hotReset({
          set,
          isOwned: () => true,
          *resetBus() {
            log.push(`bus reset, power ${members.map((m) => m.host.powerState).join(" ")}`);
          },
          ...how,
        }),
      ),
    );
  return { scheduler, run, fw, members, set, log, reset };
}

it("revokes all, wakes all, resets once, and gives back per function what its memory allows", () => {
  const { members, reset, log } = world();
  const [first, second, third] = members as [(typeof members)[0], (typeof members)[0], (typeof members)[0]];
  second.host.powerState = "D3hot";
  third.host.memoryEnabled = false;
  expect(reset()).toBe("ok");
  expect(log).toEqual(["bus reset, power D0 D0 D0"]);
  expect([first, second, third].map((m) => m.importer.calls)).toEqual([2, 2, 1]);
  expect([first, second, third].map((m) => m.canMap())).toEqual([true, true, false]);
});

it("EINVAL where one is not the caller's: those before it are given back, those behind were not touched", () => {
  const { members, set, reset, log, fw } = world();
  const before = fw.ledger;
  expect(reset({ isOwned: (e) => e !== set[1] })).toBe("EINVAL@cpu-access");
  expect([members.map((m) => m.importer.calls), log, fw.ledger]).toEqual([[2, 0, 0], [], before]);
  expect(members.map((m) => m.canMap())).toEqual([true, true, true]);
  expect(set.map((e) => e.tryLockMemory("free again?") !== null)).toEqual([true, true, true]);
});

it("EBUSY where memory_lock of one is held: undone as well, and that one is let alone", () => {
  const { members, set, reset, log, run, fw } = world();
  const before = fw.ledger;
  const held = set[2]?.tryLockMemory("a config write");
  expect(reset()).toBe("EBUSY@cpu-access");
  expect([members.map((m) => m.importer.calls), log]).toEqual([[2, 2, 0], []]);
  if (held) run(held.end());
  expect(fw.ledger).toEqual(before);
  expect(members.map((m) => m.canMap())).toEqual([true, true, true]);
  expect(reset()).toBe("ok");
});

it("a bus reset that fails is told, after everything was given back", () => {
  const { members, reset, fw } = world();
  const before = fw.ledger;
  const failing: HotReset["resetBus"] = function* () {
    throw new DmaBufError("ENOTTY", { op: "pci_reset_bus", stage: "cpu-access", message: "no bridge" });
  };
  expect(reset({ resetBus: failing })).toBe("ENOTTY@cpu-access");
  expect(fw.ledger).toEqual(before);
  expect(members.map((m) => m.canMap())).toEqual([true, true, true]);
});

it("an importer that oopses keeps no other function's lock from being given back", () => {
  const { members, set, reset } = world();
  const third = members[2] as (typeof members)[0];
  third.importer.onInvalidate = function* () {
    if (third.importer.calls === 2) throw new BugSignal("told that it may map again");
  };
  expect(() => reset()).toThrow(/told that it may map again/);
  expect(set.map((e) => e.tryLockMemory("free again?") !== null)).toEqual([true, true, true]);
  expect(members.map((m) => m.importer.calls)).toEqual([2, 2, 2]);
});

it("a function that is closed has nothing to give back", () => {
  const { members, run, reset } = world();
  const [first] = members as [(typeof members)[0]];
  run(first.exporter.close());
  expect(reset()).toBe("ok");
  expect([first.importer.calls, first.canMap()]).toEqual([1, false]);
});

it("gives back the last first", () => {
  const { members, reset } = world();
  const order: string[] = [];
  for (const { importer } of members)
    importer.onInvalidate = function* () {
      order.push(`${importer.name} ${importer.calls}`);
    };
  expect(reset()).toBe("ok");
  expect(order).toEqual(["1", "1", "1", "2", "2", "2"].map((call, i) => `0000:01:00.${i < 3 ? i : 5 - i} ${call}`));
});

it("a lock that cannot be given back keeps no other from being given back", () => {
  const { members, set, reset } = world();
  const third = set[2] as VfioExporter;
  const broken = Object.create(third, {
    tryLockMemory: {
      value: (why: string): MemorySection => {
        const section = third.tryLockMemory(why) as MemorySection;
        const ends = section.end.bind(section);
        const end = function* (): Op<void> {
          yield* ends();
          throw new BugSignal("the release oopses");
        };
        return Object.assign(section, { end });
      },
    },
  }) as VfioExporter;
  expect(() => reset({ set: [...set.slice(0, 2), broken] })).toThrow(/the release oopses/);
  expect(members.map((m) => m.canMap())).toEqual([true, true, true]);
  expect(set.map((e) => e.tryLockMemory("free again?") !== null)).toEqual([true, true, true]);
});

it("one that waits for an importer without end, and is ended, tells nobody to ask again: no reset came", () => {
  const { scheduler, members, set, log, run } = world();
  const second = members[1] as (typeof members)[0];
  second.canMap();
  second.importer.givesBack = false;
  scheduler.spawn("vmm", hotReset({ set, isOwned: () => true, *resetBus() {} }));
  expect(scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ site: "vfio.unmap" }] });
  expect([members.map((m) => m.importer.calls), log]).toEqual([[1, 1, 0], []]);
  for (const exporter of set) run((exporter.tryLockMemory("free again?") as MemorySection).end());
});

it("one that is ended in the reset itself gives back", () => {
  const { scheduler, members, set } = world();
  const resetBus: HotReset["resetBus"] = () => until("bus reset", () => false);
  scheduler.spawn("vmm", hotReset({ set, isOwned: () => true, resetBus }));
  expect(scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ site: "bus reset" }] });
  expect(members.map((m) => [m.importer.calls, m.canMap()])).toEqual(members.map(() => [2, true]));
});
