/**
 * Races of a guest's accesses against an exporter, in the order of a scheduler. What came of one is read off the bytes of
 * the machine: who wrote into memory that was somebody else's by then, and whose bytes were lost.
 */
import {
  addr,
  type Contract,
  type DmaBuf,
  DmaBufError,
  Framework,
  type Op,
  pfnOf,
  type PhysAddr,
  type Scheduler,
} from "@dma-buf/core";
import { GuestMemory, GuestVm, Machine, type Vcpu } from "@dma-buf/machine";
import { t1 } from "@dma-buf/pci";
import { FALLOC_FL, KVM_MEM, type KvmImporter, type KvmOptions, type SlotFile } from "../index.js";
import { BAR, bytes, contractOf, GPA, gpaAt, GUEST_RAM, PAGE, RAM, rig, type Serving, VARIANTS } from "./rig.js";
import { telling } from "./telling.js";

/**
 * What each vCPU does meanwhile. `faults`: stores into a page that it has not. `cached`: it has the page in its TLB. `inside`:
 * the same, and it is stopped at a violation: a store that no KVM comes to help.
 */
export type Cast = readonly ("faults" | "cached" | "inside")[];

/** By bytes, and what is wrong otherwise: findings, leaves that are left, tasks that did not end well. */
export interface Raced {
  readonly corrupt: readonly string[];
  readonly wrong: readonly string[];
}

export interface RaceOptions {
  readonly kvm?: KvmOptions;
  readonly contract?: Contract;
}

const { topology } = t1();
/** What the next owner of a page has in it. */
const OTHERS = 0x77;
const NEW = addr<PhysAddr>(RAM + 16 * PAGE);

/** A store by each vCPU against `vfio-pci` taking the BAR away. */
export function againstRevoke(scheduler: Scheduler, id: Serving, cast: Cast, { kvm = {} }: RaceOptions = {}): Raced {
  const guest = { vcpus: cast.length };
  const r = rig(id, { kvm, guest, tablesMax: 6, framework: { scheduler, trace: false } });
  const buf = r.export(PAGE);
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 }));
  for (const [vcpu, what] of cast.entries()) if (what !== "faults") r.run(r.kvm.read(GPA, 8, { vcpu }));
  const wrong = together(scheduler, [
    ...cast.map((_, vcpu) => refusable(r.kvm.write(gpaAt(8 * vcpu), bytes(vcpu + 1), { vcpu }))),
    r.exporter.revoke(),
  ]);
  // Who comes later gets nowhere.
  r.machine.memory.write(BAR, bytes(OTHERS, 32));
  for (const vcpu of cast.keys()) r.run(refusable(r.kvm.write(gpaAt(8 * vcpu), bytes(vcpu + 1), { vcpu })));
  return { corrupt: touched(r.at(BAR, 32)), wrong: [...wrong, ...r.fw.findings.map((f) => f.message)] };
}

/** A store by each vCPU against an exporter of RAM that moves its page; the old one goes to somebody else at once. */
export function againstMove(scheduler: Scheduler, id: Serving, cast: Cast, options: RaceOptions = {}): Raced {
  const { kvm: kvmOptions = {}, contract = contractOf(id) } = options;
  const fw = new Framework({ contract, scheduler, trace: false });
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true, tablesMax: 6 });
  const vm = new GuestVm(machine, "guest", false, { vcpus: cast.length });
  const kvm = VARIANTS[id].kvm(kvmOptions)(fw, vm);
  const run = <T>(op: Op<T>): T => scheduler.complete("around", op);
  const exporter = new MovingPage(fw, machine);
  run(kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf: exporter.buf, offset: 0 }));
  for (const [vcpu, what] of cast.entries()) if (what !== "faults") run(kvm.read(GPA, 8, { vcpu }));
  const stored = new Set<number>();
  const wrong = together(scheduler, [
    ...cast.map((what, vcpu) => store(what === "inside" ? vm : kvm, vcpu, stored)),
    exporter.move(),
  ]);
  const kept = machine.memory.read(NEW, 8 * cast.length);
  const lost = [...stored].filter((vcpu) => kept[8 * vcpu] !== vcpu + 1).map((vcpu) => `vCPU ${vcpu}'s store is lost`);
  for (const vcpu of cast.keys()) run(store(kvm, vcpu, stored));
  const corrupt = [...lost, ...touched(machine.memory.read(RAM, 32))];
  return { corrupt, wrong: [...wrong, ...fw.findings.map((f) => f.message)] };
}

/** Notes who stored. */
function* store(by: KvmImporter | GuestVm, vcpu: number, stored: Set<number>): Op<void> {
  const [gpa, what] = [gpaAt(8 * vcpu), bytes(vcpu + 1)];
  const result = yield* by instanceof GuestVm ? vcpuOf(by, vcpu).write(gpa, what) : by.write(gpa, what, { vcpu });
  if (result.kind === "done") stored.add(vcpu);
}

function vcpuOf(vm: GuestVm, index: number): Vcpu {
  return vm.vcpus[index] as Vcpu;
}

/** Runs them at once. What did not end as it should. */
export function together(scheduler: Scheduler, ops: readonly Op<unknown>[]): string[] {
  const tasks = ops.map((op, i) => scheduler.spawn(`task ${i}`, op));
  const end = scheduler.run();
  const failed = tasks.filter((t) => t.state !== "done").map((t) => `${t.name}: ${String(t.error)}`);
  return end.kind === "done" ? failed : [...failed, `ended in a ${end.kind}`];
}

/** The exporter may have taken the page away. */
export function* refusable(op: Op<unknown>): Op<void> {
  try {
    yield* op;
  } catch (error) {
    if (!(error instanceof DmaBufError && /EIO|EFAULT/.test(error.code))) throw error;
  }
}

/** Whose bytes are among the next owner's. */
export function touched(memory: Uint8Array): string[] {
  const others = memory.filter((byte) => byte !== OTHERS);
  return others.length === 0 ? [] : [`a guest wrote ${others[0]} into memory of somebody else`];
}

/** A store into private memory against a hole that is punched under it; another file has the page at once. */
export function againstPunch(scheduler: Scheduler, kvmOptions: KvmOptions = {}): Raced {
  const fw = new Framework({ contract: contractOf("pfn"), scheduler, trace: false });
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true, tablesMax: 6 });
  const guestMemory = new GuestMemory(machine, { ram: { base: GUEST_RAM, sizeBytes: PAGE } });
  const vm = new GuestVm(machine, "guest", true, { guestMemory });
  const kvm = VARIANTS.pfn.kvm(kvmOptions)(fw, vm);
  const run = <T>(op: Op<T>): T => scheduler.complete("around", op);
  run(kvm.setMemoryAttributes({ address: BigInt(GPA), size: BigInt(PAGE), attributes: 8n, flags: 0n }));
  const fd = kvm.createGuestMemfd({ size: BigInt(PAGE), flags: 0n });
  const { gmem } = kvm.files.get(fd) as Extract<SlotFile, { kind: "guest-memfd" }>;
  const place = { guestPhysAddr: BigInt(GPA), memorySize: BigInt(PAGE), userspaceAddr: 0n };
  run(kvm.setUserMemoryRegion({ slot: 0, flags: KVM_MEM.GUEST_MEMFD, ...place, guestMemfd: fd }));
  let taken = false;
  const punch = function* (): Op<void> {
    yield* gmem.fallocate(FALLOC_FL.PUNCH_HOLE | FALLOC_FL.KEEP_SIZE, 0, PAGE);
    // Somebody else has it now, if it is free.
    if (guestMemory.freePages === 0) return;
    machine.memory.write(guestMemory.allocPage(), new Uint8Array(PAGE).fill(OTHERS));
    taken = true;
  };
  const wrong = together(scheduler, [lacking(kvm.write(GPA, bytes(1))), punch()]);
  if (taken) run(lacking(kvm.write(GPA, bytes(1))));
  const corrupt = taken ? touched(machine.memory.read(GUEST_RAM, 32)) : [];
  return { corrupt, wrong: [...wrong, ...fw.findings.map((f) => f.message)] };
}

/** Where the only page is somebody else's, there is none. */
function* lacking(op: Op<unknown>): Op<void> {
  try {
    yield* op;
  } catch (error) {
    if (!(error instanceof DmaBufError && error.code === "ENOMEM")) throw error;
  }
}

/** An exporter of one page that moves, under any contract. */
class MovingPage {
  readonly buf: DmaBuf;
  readonly #fw: Framework;
  readonly #machine: Machine;
  #page = RAM;
  #isMoving = false;

  constructor(fw: Framework, machine: Machine) {
    this.#fw = fw;
    this.#machine = machine;
    const frame = () => ({ pfn: pfnOf(this.#page), maxOrder: 0 });
    this.buf = telling(fw, { pages: 1, frame, cache: "wb", settled: () => !this.#isMoving });
  }

  /** Importers let go, then the bytes move, and the old page is somebody else's. */
  *move(): Op<void> {
    using held = yield* this.buf.resv.lock();
    this.#isMoving = true;
    yield* this.#fw.invalidate(this.buf, held);
    this.#machine.memory.write(NEW, this.#machine.memory.read(this.#page, 64));
    this.#machine.memory.write(this.#page, new Uint8Array(PAGE).fill(OTHERS));
    this.#page = NEW;
    this.#isMoving = false;
  }
}
