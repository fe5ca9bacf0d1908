/** The leaves that KVM writes, bit for bit, in EPT and in NPT; and when they are made smaller. */
import { addr, pfnOf, type PhysAddr, type Run } from "@dma-buf/core";
import { ept, type Format, npt } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { KVM_MEM } from "./index.js";
import {
  BAR,
  bytes,
  endOf,
  GIB,
  GPA,
  gpaAt,
  leavesOf,
  MIB,
  PAGE,
  RAM,
  type Rig,
  rig,
  type RigOptions,
  SERVING,
} from "./testing/rig.js";
import { telling } from "./testing/telling.js";

const HVA = 2 ** 40;
const region = {
  slot: 0,
  flags: 0,
  guestPhysAddr: BigInt(GPA),
  memorySize: BigInt(4 * MIB),
  userspaceAddr: BigInt(HVA),
};

/** A slot over 4 MiB of RAM. */
function withRam(options: RigOptions = {}, flags = 0): Rig {
  const r = rig("vma", options);
  r.kvm.process.mapRam(HVA, RAM, 4 * MIB);
  r.run(r.kvm.setUserMemoryRegion({ ...region, flags }));
  return r;
}

const entryOf = ({ vm }: Rig): string => Array.from(vm.table.leaves(), (leaf) => leaf.entry.toString(16)).join();

describe("a BAR is UC and RAM is WB, in EPT; NPT says nothing of it", () => {
  it.each<[string, Format, number, string]>([
    // R W X XU, MMU-present, A D, suppress #VE, host- and MMU-writable; type 0.
    ["EPT, 4 KiB", ept, PAGE, "80a0004000000f07"],
    ["EPT, 1 GiB", ept, GIB, "80a0004000000f87"],
    // P RW US, A D, host- and MMU-writable, MMU-present; executable.
    ["NPT, 4 KiB", npt, PAGE, "4000000e67"],
    ["NPT, 1 GiB", npt, GIB, "4000000ee7"],
  ])("the BAR: %s", (_name, format, sizeBytes, entry) => {
    for (const id of SERVING) {
      const r = rig(id, { guest: { format } });
      r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes, buf: r.export(sizeBytes), offset: 0 }));
      r.run(r.kvm.write(GPA, bytes(1)));
      expect(entryOf(r)).toBe(entry);
    }
  });

  it.each<[string, Format, number, string]>([
    ["EPT", ept, 0, "80a0000020000fb7"],
    ["NPT", npt, 0, "20000ee7"],
    ["EPT, read-only", ept, KVM_MEM.READONLY, "8000000020000db5"],
    ["NPT, read-only", npt, KVM_MEM.READONLY, "200008a5"],
  ])("RAM, 2 MiB: %s", (_name, format, flags, entry) => {
    const r = withRam({ guest: { format } }, flags);
    r.run(r.kvm.read(GPA, 8));
    expect(entryOf(r)).toBe(entry);
  });

  it("S58a, cacheable device memory: what the exporter says is in the leaf where it may say it", () => {
    const types = SERVING.map((id) => {
      const r = rig(id);
      const buf = telling(r.fw, { pages: 1, frame: () => ({ pfn: pfnOf(BAR), maxOrder: 0 }), cache: "wb" });
      r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf, offset: 0 }));
      r.run(r.kvm.read(GPA, 8));
      return Array.from(r.vm.table.leaves())[0]?.protection.cache;
    });
    expect(types).toEqual(["uc", "uc", "uc", "wb"]);
  });
});

describe("annotated-address: an entry of an sg table ends below 4 GiB, and the next goes on", () => {
  const TABLES: readonly (readonly [string, number, object])[] = [
    ["one leaf over both", BAR + GIB - PAGE, { [GIB / 1024]: 1 }],
    ["not where it lies elsewhere", BAR + 2 * GIB - PAGE, { 2048: 1, 4: 2 }],
  ];
  it.each(TABLES)("%s", (_name, second, leaves) => {
    const r = rig("annotated-address");
    const run = (offset: number, sizeBytes: number, at: number): Run => ({
      kind: "cpu-physical",
      offset,
      sizeBytes,
      address: addr<PhysAddr>(at),
      attributes: { cache: "uc", snoop: false },
    });
    const runs = [run(0, GIB - PAGE, BAR), run(GIB - PAGE, GIB + PAGE, second)];
    const ops = { mapDmaBuf: () => ({ runs }), unmapDmaBuf() {}, pin() {}, unpin() {}, release() {} };
    const buf = r.fw.export({ exporterName: "split", ops, sizeBytes: 2 * GIB, priv: {} });
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: 2 * GIB, buf, offset: 0 }));
    for (const at of [0, GIB - 2 * PAGE, GIB - PAGE])
      r.run(r.kvm.preFaultMemory({ gpa: BigInt(GPA + at), size: 4096n, flags: 0n }));
    expect([leavesOf(r), r.vm.table.lookup(gpaAt(GIB - PAGE)), r.fw.findings]).toEqual([leaves, second, []]);
  });
});

it("a mapping that leaves RAM: each leaf goes by its own frame", () => {
  const r = rig("vma");
  const end = [...Array(64).keys()].map((i) => RAM + i * 256 * MIB).find((at) => !r.machine.memory.isRam(addr(at)));
  const last = addr<PhysAddr>((end ?? 0) - PAGE);
  r.kvm.process.mapRam(HVA, last, 2 * PAGE);
  r.run(r.kvm.setUserMemoryRegion({ ...region, memorySize: BigInt(2 * PAGE) }));
  r.run(r.kvm.preFaultMemory({ gpa: BigInt(GPA), size: BigInt(2 * PAGE), flags: 0n }));
  expect(Array.from(r.vm.table.leaves(), (leaf) => leaf.protection.cache)).toEqual(["wb", "uc"]);
});

it("a slot that is read-only is read and executed, and a write is the VMM's to emulate", () => {
  const r = withRam({}, KVM_MEM.READONLY);
  expect([endOf(r.run(r.kvm.read(GPA, 8))), endOf(r.run(r.kvm.fetch(GPA, 8)))]).toEqual(["done", "done"]);
  expect(r.run(r.kvm.write(GPA, bytes(1)))).toMatchObject({ kind: "fault", exit: "mmio", gpa: GPA, access: "write" });
  expect(r.at(RAM)).toEqual(bytes(0));
});

it("a log of dirty pages wants small leaves; without it they grow again", () => {
  const r = withRam();
  r.run(r.kvm.write(GPA, bytes(1)));
  expect(leavesOf(r)).toEqual({ 2048: 1 });
  r.run(r.kvm.setUserMemoryRegion({ ...region, flags: KVM_MEM.LOG_DIRTY_PAGES }));
  expect(leavesOf(r)).toEqual({});
  for (const page of [0, 1]) r.run(r.kvm.write(gpaAt(page * PAGE), bytes(1)));
  expect(leavesOf(r)).toEqual({ 4: 2 });
  r.run(r.kvm.setUserMemoryRegion(region));
  r.run(r.kvm.write(GPA, bytes(1)));
  expect(leavesOf(r)).toEqual({ 2048: 1 });
});

it("nx_huge_pages: code is fetched out of small leaves, and the large one gives way", () => {
  const r = withRam({ kvm: { nxHugePages: true } });
  r.run(r.kvm.write(GPA, bytes(1)));
  expect([leavesOf(r), Array.from(r.vm.table.leaves())[0]?.protection.execute]).toEqual([{ 2048: 1 }, false]);
  expect(endOf(r.run(r.kvm.fetch(gpaAt(PAGE), 8)))).toBe("done");
  expect(leavesOf(r)).toEqual({ 4: 1 });
  expect(r.vm.vcpus[0]?.thread.cached).toBe(1);
});

it("an invalidate of one page takes the large leaf around it whole", () => {
  const r = rig("vma");
  r.kvm.process.mapRam(HVA, RAM, 2 * MIB);
  r.kvm.process.mapRam(HVA + 2 * MIB, addr<PhysAddr>(RAM + 2 * MIB), 2 * MIB);
  r.run(r.kvm.setUserMemoryRegion(region));
  for (const at of [0, 2 * MIB]) r.run(r.kvm.write(gpaAt(at), bytes(1)));
  expect(leavesOf(r)).toEqual({ 2048: 2 });
  r.run(r.kvm.process.unmap(HVA));
  expect(leavesOf(r)).toEqual({ 2048: 1 });
});

it("an access over the end of a page faults twice, and its bytes are where they belong", () => {
  const r = withRam({}, KVM_MEM.LOG_DIRTY_PAGES);
  expect(endOf(r.run(r.kvm.write(gpaAt(PAGE - 4), bytes(9))))).toBe("done");
  expect(r.at(RAM + PAGE - 4)).toEqual(bytes(9));
  expect(r.run(r.kvm.read(gpaAt(PAGE - 4), 8))).toEqual({ kind: "done", bytes: bytes(9) });
  expect(leavesOf(r)).toEqual({ 4: 2 });
});
