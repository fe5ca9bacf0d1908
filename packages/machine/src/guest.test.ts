import { addr, explore, type Gpa, type Op, type PhysAddr, Scheduler, seeded } from "@dma-buf/core";
import { npt } from "@dma-buf/page-table";
import fc from "fast-check";
import { expect, it } from "vitest";
import { type GuestOptions, GuestVm, type Vcpu } from "./guest.js";
import { BAR, bytes, RAM, rig, type Rig } from "./testing.js";

const GPA = addr<Gpa>(0x1_0000_0000);
const RW = { read: true, write: true, cache: "uc" } as const;
const vmOf = ({ machine }: Rig, options: GuestOptions = {}): GuestVm => new GuestVm(machine, "guest", false, options);

it.each<[string, GuestOptions]>([
  ["EPT", {}],
  ["NPT", { format: npt }],
])("%s: bytes go through the second stage, and without an entry the vCPU leaves", (_name, options) => {
  const r = rig();
  const vm = vmOf(r, options);
  vm.table.map(GPA, BAR, 4096, RW);
  expect(r.run(vm.write(addr<Gpa>(GPA + 8), bytes(9))).kind).toBe("done");
  expect(r.machine.memory.read(BAR + 8, 8)).toEqual(bytes(9));
  expect(r.run(vm.read(addr<Gpa>(GPA + 8), 8))).toEqual({ kind: "done", bytes: bytes(9) });
  expect(r.run(vm.read(addr<Gpa>(GPA + 4096), 8))).toEqual({ kind: "violation", reason: "not-present at level 0" });
});

it("what nobody answers is ones for a guest too", () => {
  const r = rig();
  const vm = vmOf(r);
  vm.table.map(GPA, BAR, 4096, RW);
  r.machine.functions.setMemory(r.gpu, false);
  expect(r.run(vm.read(GPA, 4))).toMatchObject({ kind: "lost", answer: "unsupported-request", bytes: bytes(0xff, 4) });
});

it("each vCPU caches for itself", () => {
  const r = rig();
  const vm = vmOf(r, { vcpus: 2 });
  const [one, two] = vm.vcpus;
  vm.table.map(GPA, RAM, 4096, RW);
  r.run(one?.read(GPA, 8) as Op<unknown>);
  vm.table.unmap(GPA, 4096);
  expect(r.run(one?.read(GPA, 8) as Op<{ kind: string }>).kind).toBe("done");
  expect(r.run(two?.read(GPA, 8) as Op<{ kind: string }>).kind).toBe("violation");
  expect(r.machine.arrivals.map((a) => a.by)).toEqual(["guest vCPU 0", "guest vCPU 0"]);
});

it("an exit looks at the request: after it, the old place is gone before the interrupt came", () => {
  const r = rig();
  const vm = vmOf(r);
  vm.table.map(GPA, RAM, 4096, RW);
  r.run(vm.read(GPA, 8));
  vm.table.unmap(GPA, 4096);
  const flush = vm.flushTlb();
  flush.next();
  expect(r.run(vm.read(GPA, 8)).kind).toBe("done");
  expect(r.run(vm.read(addr<Gpa>(GPA + 4096), 8)).kind).toBe("violation");
  expect(r.run(vm.read(GPA, 8)).kind).toBe("violation");
  flush.return();
});

/** Two vCPUs that have cached the page read it while the page moves from the BAR to RAM and KVM flushes. Loads of the old place, by when. */
function zap(scheduler: Scheduler, flush: boolean): { readonly before: number; readonly after: number } {
  const r = rig({ scheduler });
  const vm = vmOf(r, { vcpus: 2 });
  vm.table.map(GPA, BAR, 4096, RW);
  const marks = { zapped: Infinity, flushed: Infinity };
  const kvm = function* (): Op<void> {
    vm.table.unmap(GPA, 4096);
    marks.zapped = r.machine.arrivals.length;
    if (flush) yield* vm.flushTlb();
    marks.flushed = r.machine.arrivals.length;
  };
  for (const vcpu of vm.vcpus) r.run(vcpu.read(GPA, 8));
  for (const vcpu of vm.vcpus) scheduler.spawn(vcpu.name, vcpu.read(GPA, 8));
  scheduler.spawn("kvm", kvm());
  expect(scheduler.run()).toEqual({ kind: "done" });
  const old = r.machine.arrivals.flatMap((a, i) => (a.physical === BAR ? [i] : []));
  return {
    before: old.filter((i) => i >= marks.zapped && i < marks.flushed).length,
    after: old.filter((i) => i >= marks.flushed).length,
  };
}

/** The most such loads that any order has. */
function most(flush: boolean, of: "before" | "after"): number {
  const found = explore((scheduler) => zap(scheduler, flush)[of], { badness: (n) => n });
  expect(found.kind).toBe("exhausted");
  return found.worst.result;
}

it("between zap and flush a vCPU reaches the old place; after it none does, in any order", () => {
  expect(most(true, "before")).toBeGreaterThan(0);
  expect(most(true, "after")).toBe(0);
});

it("without the flush, one does", () => expect(most(false, "after")).toBeGreaterThan(0));

it("the same for orders drawn at random", () => {
  const law = fc.property(fc.nat(), (seed) => {
    expect(zap(new Scheduler(seeded(seed)), true).after).toBe(0);
  });
  fc.assert(law);
});

const vcpu = fc.nat({ max: 1 });
const page = fc.nat({ max: 2 });
const action = fc.oneof(
  fc.record({ do: fc.constant("map" as const), page, frame: fc.nat({ max: 3 }) }),
  fc.record({ do: fc.constant("unmap" as const), page }),
  fc.record({ do: fc.constant("flush" as const) }),
  fc.record({ do: fc.constant("read" as const), page, vcpu }),
);

it("law: a vCPU reaches what the table says, or what it said since the last flush", () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const r = rig();
      const vm = vmOf(r, { vcpus: 2 });
      /** Frames that each page had since the last flush; -1 is none. */
      const since = [[-1], [-1], [-1]];
      const frameOf = (n: number): PhysAddr => addr<PhysAddr>(RAM + n * 4096);
      for (const a of actions) {
        if (a.do === "flush") {
          r.run(vm.flushTlb());
          for (const [i, frames] of since.entries()) since[i] = frames.slice(-1);
          continue;
        }
        const gpa = addr<Gpa>(GPA + a.page * 4096);
        const frames = since[a.page] as number[];
        if (a.do === "read") {
          const before = r.machine.arrivals.length;
          r.run(vm.vcpus[a.vcpu]?.read(gpa, 8) as Op<unknown>);
          const { physical } = r.machine.arrivals[before] ?? { physical: null };
          expect(frames.map((n) => (n < 0 ? null : frameOf(n)))).toContain(physical);
          continue;
        }
        vm.table.unmap(gpa, 4096);
        if (a.do === "map") vm.table.map(gpa, frameOf(a.frame), 4096, RW);
        frames.push(a.do === "map" ? a.frame : -1);
      }
    }),
  );
});

it("after its end every access of every vCPU is a violation, and no TLB holds anything", () => {
  const r = rig();
  const vm = new GuestVm(r.machine, "guest", false, { vcpus: 2 });
  const gpa = addr<Gpa>(0x1000);
  vm.table.map(gpa, RAM, 4096, { read: true, write: true });
  for (const one of vm.vcpus) r.run(one.read(gpa, 8));
  vm.destroy();
  for (const one of vm.vcpus) expect(r.run(one.write(gpa, bytes(1))).kind).toBe("violation");
  expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(0));
  expect(r.machine.resources.read()).toMatchObject({ tlbEntries: 0 });
});

it.each<[string, GuestOptions]>([
  ["EPT", {}],
  ["NPT", { format: npt }],
])(
  "%s: code is fetched where the leaf allows it, and a cached page that does not is walked again",
  (_name, options) => {
    const r = rig();
    const vm = vmOf(r, options);
    const [only] = vm.vcpus as [Vcpu];
    vm.table.map(GPA, RAM, 4096, { read: true, write: true, execute: false });
    expect(r.run(only.read(GPA, 8)).kind).toBe("done");
    expect(r.run(only.fetch(GPA, 8)).kind).toBe("violation");
    vm.table.protect(GPA, 4096, { read: true, write: true, execute: true });
    r.machine.memory.write(RAM, bytes(6));
    expect(r.run(only.fetch(GPA, 8))).toEqual({ kind: "done", bytes: bytes(6) });
  },
);
