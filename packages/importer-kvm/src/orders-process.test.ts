/** Every order of a guest's access against the process that changes its own mappings: two at once, or while a slot comes to be. */
import { addr, type Op, type PhysAddr, point, type Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { together } from "./testing/race.js";
import { bytes, GPA, gpaAt, leavesOf, MIB, PAGE, RAM, type Rig, rig } from "./testing/rig.js";
import { NOTHING, searched } from "./testing/search.js";

const HVA = 2 ** 40;
const NEW = addr<PhysAddr>(RAM + 4 * MIB);
const slot = (sizeBytes = PAGE) => ({
  slot: 0,
  flags: 0,
  guestPhysAddr: BigInt(GPA),
  memorySize: BigInt(sizeBytes),
  userspaceAddr: BigInt(HVA),
});
const world = (scheduler: Scheduler): Rig =>
  rig("vma", { privateMemory: true, guest: { vcpus: 2 }, framework: { scheduler, trace: false } });
const found = ({ fw }: Rig): string[] => fw.findings.map(({ message }) => message);

/** The slot is made, and used, while its page migrates: what was stored is at the new place. */
function slotAgainstMigrate(scheduler: Scheduler) {
  const r = world(scheduler);
  r.kvm.process.mapRam(HVA, RAM, PAGE);
  const copy = function* (): Op<void> {
    yield* point("copy");
    r.machine.memory.write(NEW, r.at(RAM, PAGE));
    yield* point("copied");
  };
  const vmm = function* (): Op<void> {
    yield* r.kvm.setUserMemoryRegion(slot());
    yield* r.kvm.write(GPA, bytes(1));
  };
  const wrong = together(scheduler, [vmm(), r.kvm.process.migrate(HVA, NEW, copy)]);
  return { corrupt: r.at(NEW)[0] === 1 ? [] : ["the store is lost"], wrong: [...wrong, ...found(r)] };
}

/** One page of 2 MiB becomes private while the guest faults on its neighbour: no large leaf is over both. */
function convertAgainstNeighbour(scheduler: Scheduler) {
  const r = world(scheduler);
  r.kvm.process.mapRam(HVA, RAM, 2 * MIB);
  r.run(r.kvm.setUserMemoryRegion(slot(2 * MIB)));
  const request = { address: BigInt(GPA), size: BigInt(PAGE), attributes: 8n, flags: 0n };
  const wrong = together(scheduler, [r.kvm.setMemoryAttributes(request), r.kvm.write(gpaAt(PAGE), bytes(1))]);
  const large = leavesOf(r)[2048] ? ["a shared leaf is over a private page"] : [];
  return { corrupt: large, wrong: [...wrong, ...found(r)] };
}

/** The mapping of a buffer goes, while the guest faults on it, or somebody else unmaps it too. */
function againstUnmap(scheduler: Scheduler, other: "fault" | "unmap") {
  const r = world(scheduler);
  const buf = r.export(PAGE);
  r.run(r.kvm.process.mapBuffer(HVA, buf, 0, PAGE));
  r.run(r.kvm.setUserMemoryRegion(slot()));
  const refused: string[] = [];
  const unless = function* (code: string, op: Op<unknown>): Op<void> {
    try {
      yield* op;
    } catch (error) {
      if ((error as { code?: string }).code !== code) throw error;
      refused.push(code);
    }
  };
  const unmap = (): Op<void> => unless("EINVAL", r.kvm.process.unmap(HVA));
  const wrong = together(scheduler, [
    unmap(),
    other === "unmap" ? unmap() : unless("EFAULT", r.kvm.write(GPA, bytes(1))),
  ]);
  if (other === "unmap" && refused.length !== 1) wrong.push("both unmapped it");
  if (buf.refs !== 1 || buf.attachments.length > 0) wrong.push(`${buf.refs} references are left`);
  return {
    corrupt: Object.keys(leavesOf(r)).map((kib) => `a leaf of ${kib} KiB is left`),
    wrong: [...wrong, ...found(r)],
  };
}

/** Two slots for one guest-physical place modulo 1 GiB: each has a mapping of its own. */
function twoMappings(scheduler: Scheduler) {
  const r = world(scheduler);
  const buf = r.export(2 * PAGE);
  const place = (gib: number) => ({ gpa: gpaAt(gib * 2 ** 30), sizeBytes: PAGE, buf, offset: gib * PAGE });
  const wrong = together(scheduler, [r.kvm.setMemslot(place(0)), r.kvm.setMemslot(place(1))]);
  for (const gib of [0, 1]) r.run(r.kvm.write(gpaAt(gib * 2 ** 30), bytes(gib + 1)));
  const lost = [0, 1].filter((page) => r.at(0x40_0000_0000 + page * PAGE)[0] !== page + 1);
  return { corrupt: lost.map((page) => `page ${page} is elsewhere`), wrong: [...wrong, ...found(r)] };
}

it.each([
  ["a slot that comes × migrate", slotAgainstMigrate, 233],
  ["convert × fault on the neighbour", convertAgainstNeighbour, 159],
  ["fault × unmap", (scheduler: Scheduler) => againstUnmap(scheduler, "fault"), 620],
  ["unmap × unmap", (scheduler: Scheduler) => againstUnmap(scheduler, "unmap"), 16],
  ["two slots that map the buffer", twoMappings, 252],
] as const)("%s", (_name, race, orders) => {
  const { count, worst } = searched(race);
  expect([count, worst]).toEqual([`${orders} orders, exhausted`, NOTHING]);
});
