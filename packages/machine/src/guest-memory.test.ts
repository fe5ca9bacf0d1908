/** The pages of guest_memfds: dirty when handed out, counted, and out of the host's reach while they are private. */
import { errnoOf } from "@dma-buf/config/refusal";
import { addr, type Gpa, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { expect, it } from "vitest";
import { GuestMemory, type GuestMemoryOptions } from "./guest-memory.js";
import { GuestVm } from "./guest.js";
import { POISON_BYTE } from "./memfd-frames.js";
import { bytes, dmaOf, RAM, type Rig, rig } from "./testing.js";

const RW = { read: true, write: true } as const;
const memoryOf = (r: Rig, pages = 4, more: Partial<GuestMemoryOptions> = {}): GuestMemory =>
  new GuestMemory(r.machine, { ram: { base: RAM, sizeBytes: pages * PAGE_SIZE }, ...more });
const out = (r: Rig): number => r.machine.resources.read()["guestPages"] as number;

it("a page has what its last owner left until it is zeroed", () => {
  const r = rig();
  const memory = memoryOf(r);
  const page = memory.allocPage();
  expect(r.machine.memory.read(page, 8)).toEqual(bytes(POISON_BYTE));
  r.machine.memory.write(page, bytes(7));
  memory.freePage(page);
  expect(memory.allocPage()).toBe(page);
  expect(r.machine.memory.read(page, 8)).toEqual(bytes(7));
  memory.zeroPage(page);
  expect(r.machine.memory.read(page, PAGE_SIZE)).toEqual(bytes(0, PAGE_SIZE));
});

it("ENOMEM when all are out, and the ledger says how many", () => {
  const r = rig();
  const memory = memoryOf(r, 2);
  const [first] = [memory.allocPage(), memory.allocPage()];
  expect(errnoOf(() => memory.allocPage())).toBe("ENOMEM");
  expect([out(r), memory.freePages]).toEqual([2, 0]);
  memory.freePage(first);
  expect([out(r), memory.freePages]).toEqual([1, 1]);
});

it("a page that is broken is neither out nor free", () => {
  const r = rig();
  const memory = memoryOf(r, 2);
  memory.offlinePage(memory.allocPage());
  expect([out(r), memory.freePages]).toEqual([0, 1]);
});

it("a page that was given back is not given back again", () => {
  const r = rig();
  const memory = memoryOf(r, 2);
  const page = memory.allocPage();
  memory.freePage(page);
  expect(() => memory.freePage(page)).toThrow(RangeError);
  expect(() => memory.offlinePage(page)).toThrow(RangeError);
  expect([out(r), memory.freePages]).toEqual([0, 2]);
});

it.each([
  ["base", RAM + 1, PAGE_SIZE],
  ["size", RAM, 100],
])("RAM whose %s is no whole page is a RangeError", (_name, base, sizeBytes) => {
  const ram = { base: addr<PhysAddr>(base), sizeBytes };
  expect(() => new GuestMemory(rig().machine, { ram })).toThrow(RangeError);
});

it("a private page is the VM's alone; when it is shared again, the host finds nothing of the guest's", () => {
  const r = rig();
  const memory = memoryOf(r, 2, { confidentialTo: "guest" });
  const vm = new GuestVm(r.machine, "guest", true);
  const page = memory.allocPage();
  vm.table.map(0x1000, page, PAGE_SIZE, RW);
  memory.makePrivate(page);
  r.run(vm.write(addr<Gpa>(0x1000), bytes(5)));
  expect(r.run(vm.read(addr<Gpa>(0x1000), 8))).toMatchObject({ kind: "done", bytes: bytes(5) });
  expect(r.machine.cpuAccess(page).kind).toBe("lost");
  expect(r.run(r.nic.write(dmaOf(page), bytes(1)))).toMatchObject({ kind: "lost", reason: /private to guest/ });
  memory.makeShared(page);
  expect(r.machine.cpuAccess(page).kind).not.toBe("lost");
  expect(r.machine.memory.read(page, 8)).toEqual(bytes(POISON_BYTE));
});

it("where no hardware keeps it so, private is a word", () => {
  const r = rig();
  const memory = memoryOf(r);
  const page = memory.allocPage();
  memory.makePrivate(page);
  expect(r.machine.private.ranges).toEqual([]);
  r.machine.memory.write(page, bytes(5));
  memory.makeShared(page);
  expect(r.machine.memory.read(page, 8)).toEqual(bytes(5));
});

it("a page that is broken while private is the host's to look at", () => {
  const r = rig();
  const memory = memoryOf(r, 2, { confidentialTo: "guest" });
  const page = memory.allocPage();
  memory.makePrivate(page);
  memory.offlinePage(page);
  expect(r.machine.private.ranges).toEqual([]);
});

it("no page is out twice, whatever is taken and given back", () => {
  const action = fc.record({ take: fc.boolean(), which: fc.nat() });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const r = rig();
      const memory = memoryOf(r, 6);
      const mine: PhysAddr[] = [];
      for (const { take, which } of actions) {
        if (!take && mine.length > 0) memory.freePage(...(mine.splice(which % mine.length, 1) as [PhysAddr]));
        else if (mine.length < 6) mine.push(memory.allocPage());
        expect(new Set(mine).size).toBe(mine.length);
        expect([out(r), memory.freePages]).toEqual([mine.length, 6 - mine.length]);
      }
    }),
    { numRuns: 50 },
  );
});
