/** The process has ended: every call is refused, also one that was under way, and nothing is held. */
import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { explore, type Op, Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { KVM_IOCTL, kvmIoctl } from "./index.js";
import { regionOf } from "./testing/arguments.js";
import { bytes, GPA, PAGE, RAM, type Rig, rig, SERVING } from "./testing/rig.js";

const HVA = 0x400_0000;
const RANGE = { gpa: BigInt(GPA), size: 4096n, flags: 0n };
const ATTRIBUTES = { address: 0n, size: 4096n, attributes: 8n, flags: 0n };

type Call = (r: Rig, buf: ReturnType<Rig["export"]>) => Op<unknown>;
const CALLS: Record<string, readonly [Call, string]> = {
  setUserMemoryRegion: [({ kvm }) => kvm.setUserMemoryRegion(regionOf()), "EIO@memslot"],
  "setUserMemoryRegion, of nonsense": [({ kvm }) => kvm.setUserMemoryRegion(regionOf({ slot: -1 })), "EIO@memslot"],
  setMemslot: [({ kvm }, buf) => kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 }), "EIO@memslot"],
  removeMemslot: [({ kvm }) => kvm.removeMemslot(0), "EIO@memslot"],
  setMemoryAttributes: [({ kvm }) => kvm.setMemoryAttributes(ATTRIBUTES), "EIO@memslot"],
  createGuestMemfd: [
    function* ({ kvm }) {
      kvm.createGuestMemfd({ size: 4096n, flags: 0n });
    },
    "EIO@memslot",
  ],
  preFaultMemory: [({ kvm }) => kvm.preFaultMemory(RANGE), "EIO@vcpu-run"],
  write: [({ kvm }) => kvm.write(GPA, bytes(1)), "EIO@vcpu-run"],
  read: [({ kvm }) => kvm.read(GPA, 8), "EIO@vcpu-run"],
  fetch: [({ kvm }) => kvm.fetch(GPA, 8), "EIO@vcpu-run"],
  "an ioctl of which nothing can be read": [
    ({ kvm }) => kvmIoctl(kvm, KVM_IOCTL.SET_USER_MEMORY_REGION2, null),
    "EIO@memslot",
  ],
  mapBuffer: [({ kvm }, buf) => kvm.process.mapBuffer(HVA, buf, 0, PAGE), "EIO@mmap"],
  mapRam: [
    function* ({ kvm }) {
      kvm.process.mapRam(HVA, RAM, PAGE);
    },
    "EIO@mmap",
  ],
};

it.each(Object.keys(CALLS))("after destroy(): %s", (name) => {
  const [call, expected] = CALLS[name] as (typeof CALLS)[string];
  for (const id of SERVING) {
    const r = rig(id, { privateMemory: true, guestPages: 1 });
    const buf = r.export(PAGE);
    const { refs } = buf;
    r.run(r.kvm.destroy());
    expect([id, refusal(() => r.run(call(r, buf)))]).toEqual([id, expected]);
    expect([buf.refs, r.fw.ledger.attachments, r.kvm.files.get(3)]).toEqual([refs, 0, null]);
    r.run(r.kvm.destroy());
  }
});

/** The call against the end of the process, in every order: how many, how the call ends, and what is left behind. */
function againstEnd(
  id: (typeof SERVING)[number],
  before: Call,
  call: Call,
): readonly [string, readonly string[], readonly string[]] {
  const ends = new Set<string>();
  const left = new Set<string>();
  const { explored, kind } = explore(
    (scheduler) => {
      const r = rig(id, { framework: { scheduler, trace: false } });
      const buf = r.export(PAGE);
      const { refs } = buf;
      r.run(before(r, buf));
      const tasks = [call(r, buf), r.kvm.destroy()].map((op, i) => scheduler.spawn(`task ${i}`, op));
      scheduler.run();
      const [called, destroyed] = tasks as [(typeof tasks)[0], (typeof tasks)[0]];
      ends.add(called.state === "done" ? "ok" : errnoOf(() => raise(called.error)));
      if (destroyed.state !== "done") left.add(`destroy: ${destroyed.state} ${String(destroyed.error)}`);
      if (buf.refs !== refs || r.fw.ledger.attachments !== 0) left.add(`${buf.refs - refs} references`);
      for (const { message } of r.fw.findings) left.add(message);
    },
    { ordersMax: 5000, badness: () => 0 },
  );
  return [`${explored} orders, ${kind}`, [...ends].toSorted(), [...left]];
}

const made: Call = ({ kvm }, buf) => kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 });
function* none(): Op<void> {}

function raise(error: unknown): never {
  throw error;
}

const RACES: readonly (readonly [(typeof SERVING)[number], string, number, Call, Call])[] = [
  ...(
    [
      ["vma", 62],
      ["pfn", 9],
      ["pfn-locked", 9],
      ["annotated-address", 9],
    ] as const
  ).map(([id, orders]) => [id, "a slot is made", orders, none, made] as const),
  ["vma", "a slot is deleted", 35, made, ({ kvm }) => kvm.removeMemslot(0)],
  ["vma", "a buffer is mapped", 50, none, ({ kvm }, buf) => kvm.process.mapBuffer(HVA, buf, 0, PAGE)],
];

it.each(RACES)("%s: %s while the process ends, %i orders: it is given back", (id, _name, orders, before, call) => {
  expect(againstEnd(id, before, call)).toEqual([`${orders} orders, exhausted`, ["EIO", "ok"], []]);
});

it("a slot that waits for slots_lock while the process ends is not made", () => {
  const scheduler = new Scheduler();
  const r = rig("pfn", { framework: { scheduler } });
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf: r.export(PAGE), offset: 0 }));
  r.run(r.kvm.write(GPA, bytes(1)));
  const destroy = r.kvm.destroy();
  for (let at = destroy.next(); !at.done && at.value.site !== "kvm.mmu_lock"; at = destroy.next());
  const buf = r.export(PAGE, PAGE);
  const late = r.kvm.setUserMemoryRegion(regionOf());
  const tasks = [scheduler.spawn("late", late), scheduler.spawn("end", destroy)];
  scheduler.run();
  expect(tasks.map((t) => t.state)).toEqual(["failed", "done"]);
  expect([buf.refs, r.fw.ledger.attachments]).toEqual([1, 0]);
});
