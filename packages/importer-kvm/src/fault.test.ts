/** How `KVM_RUN` and `KVM_PRE_FAULT_MEMORY` end: each errno and each exit of the fault flow, by name; nothing is left behind one. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, type Gpa, type Op, type PhysAddr, point } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { KVM_MEM, KVM_MEMORY_ATTRIBUTE } from "./index.js";
import {
  BAR,
  bytes,
  endOf,
  GPA,
  gpaAt,
  leavesOf,
  MIB,
  PAGE,
  RAM,
  type Rig,
  rig,
  type RigOptions,
} from "./testing/rig.js";

const HVA = 2 ** 40;
const place = { guestPhysAddr: BigInt(GPA), memorySize: BigInt(4 * PAGE), userspaceAddr: BigInt(HVA) };
const attributes = (isPrivate: boolean, from = 0, pages = 4) => ({
  address: BigInt(GPA + from * PAGE),
  size: BigInt(pages * PAGE),
  attributes: isPrivate ? KVM_MEMORY_ATTRIBUTE.PRIVATE : 0n,
  flags: 0n,
});

function thrown(op: () => unknown): DmaBufError {
  try {
    op();
  } catch (error) {
    if (error instanceof DmaBufError) return error;
    throw error;
  }
  throw new Error("was not refused");
}

/** Four pages: private ones of a guest_memfd, shared ones of the process. */
function confidential(options: RigOptions = {}): Rig & { fd: number } {
  const r = rig("pfn", { privateMemory: true, guestPages: 8, ...options });
  const fd = r.kvm.createGuestMemfd({ size: BigInt(4 * PAGE), flags: 0n });
  r.kvm.process.mapRam(HVA, RAM, 4 * PAGE);
  r.run(r.kvm.setUserMemoryRegion({ slot: 0, flags: KVM_MEM.GUEST_MEMFD, ...place, guestMemfd: fd }));
  return { ...r, fd };
}

describe("exits", () => {
  it("no slot: the VMM emulates", () => {
    const r = rig("pfn");
    expect(r.run(r.kvm.write(GPA, bytes(1)))).toMatchObject({ exit: "mmio", access: "write", gpa: GPA });
  });

  it("EFAULT, memory fault: a private access to a shared frame, and the other way round", () => {
    const r = confidential();
    const error = thrown(() => r.run(r.kvm.write(gpaAt(8), bytes(1), { view: "private" })));
    expect([error.code, error.stage, error.values]).toEqual([
      "EFAULT",
      "vcpu-run",
      { exit: "memory-fault", gpa: GPA, sizeBytes: PAGE, private: true },
    ]);
    r.run(r.kvm.setMemoryAttributes(attributes(true)));
    expect(thrown(() => r.run(r.kvm.read(GPA, 8, { view: "shared" }))).values).toMatchObject({ private: false });
    expect(r.run(r.kvm.write(GPA, bytes(1), { view: "private" })).kind).toBe("done");
  });

  it("EFAULT: a private frame of a slot without a guest_memfd", () => {
    const r = rig("pfn", { privateMemory: true });
    r.kvm.process.mapRam(HVA, RAM, 4 * PAGE);
    r.run(r.kvm.setUserMemoryRegion({ slot: 0, flags: 0, ...place }));
    r.run(r.kvm.setMemoryAttributes(attributes(true)));
    expect(refusal(() => r.run(r.kvm.write(GPA, bytes(1))))).toBe("EFAULT@vcpu-run");
  });

  it("EFAULT: the process has nothing mapped there", () => {
    const r = rig("vma");
    r.run(r.kvm.setUserMemoryRegion({ slot: 0, flags: 0, ...place }));
    expect(refusal(() => r.run(r.kvm.write(GPA, bytes(1))))).toBe("EFAULT@vcpu-run");
    r.kvm.process.mapRam(HVA, RAM, 4 * PAGE);
    expect(r.run(r.kvm.write(GPA, bytes(1))).kind).toBe("done");
  });

  it("EHWPOISON: the hardware lost the page of a guest_memfd", () => {
    const r = confidential();
    r.run(r.kvm.setMemoryAttributes(attributes(true)));
    r.run(r.kvm.write(GPA, bytes(1)));
    const file = r.kvm.files.get(r.fd);
    if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
    r.run(file.gmem.memoryFailure(0));
    const error = thrown(() => r.run(r.kvm.read(GPA, 8)));
    expect([error.code, error.stage, error.values["exit"]]).toEqual(["EHWPOISON", "vcpu-run", "memory-fault"]);
  });

  it("EFAULT: the guest_memfd was closed under the slot", () => {
    const r = confidential();
    r.run(r.kvm.setMemoryAttributes(attributes(true)));
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.kvm.files.close(r.fd));
    expect([leavesOf(r), refusal(() => r.run(r.kvm.read(GPA, 8)))]).toEqual([{}, "EFAULT@vcpu-run"]);
  });

  it("ENOMEM: no page of a guest_memfd, no page table; nothing is left, and later it works", () => {
    const poor = confidential({ guestPages: 1 });
    poor.run(poor.kvm.setMemoryAttributes(attributes(true)));
    poor.run(poor.kvm.write(GPA, bytes(1)));
    expect(refusal(() => poor.run(poor.kvm.write(gpaAt(PAGE), bytes(1))))).toBe("ENOMEM@vcpu-run");

    const r = rig("annotated-address", { tablesMax: 3 });
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf: r.export(PAGE), offset: 0 }));
    const before = r.machine.resources.read();
    expect(refusal(() => r.run(r.kvm.write(GPA, bytes(1))))).toMatch(/^ENOMEM@/);
    expect([leavesOf(r), r.machine.resources.read(), r.exporter.ledger.sgTables]).toEqual([{}, before, 0]);
  });

  it("EIO: the buffer is revoked, and the exporter's errno is the cause", () => {
    const r = rig("pfn");
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: MIB, buf: r.export(MIB), offset: 0 }));
    r.run(r.exporter.revoke());
    const error = thrown(() => r.run(r.kvm.read(GPA, 8)));
    expect([error.code, (error.cause as DmaBufError).code, error.values["private"]]).toEqual(["EIO", "ENODEV", false]);
  });
});

describe("private and shared", () => {
  it("each view has its own bytes, and a conversion takes the other one's leaves", () => {
    const r = confidential();
    r.run(r.kvm.write(GPA, bytes(1)));
    r.run(r.kvm.setMemoryAttributes(attributes(true)));
    expect(leavesOf(r)).toEqual({});
    expect(r.run(r.kvm.read(GPA, 8))).toEqual({ kind: "done", bytes: bytes(0) });
    r.run(r.kvm.write(GPA, bytes(2)));
    expect(r.at(RAM)).toEqual(bytes(1));
    r.run(r.kvm.setMemoryAttributes(attributes(false)));
    expect(r.run(r.kvm.read(GPA, 8))).toEqual({ kind: "done", bytes: bytes(1) });
  });

  it("the MMU notifier leaves private leaves alone", () => {
    const r = confidential();
    r.run(r.kvm.setMemoryAttributes(attributes(true, 0, 1)));
    for (const page of [0, 1]) r.run(r.kvm.write(gpaAt(page * PAGE), bytes(1)));
    expect(leavesOf(r)).toEqual({ 4: 2 });
    r.run(r.kvm.process.unmap(HVA));
    expect(Array.from(r.vm.table.leaves(), (leaf) => leaf.va)).toEqual([GPA]);
  });

  it("S28: 64 KiB of a private dma-buf are shared, and the rest keeps its bytes; no leaf spans both", () => {
    const r = rig("pfn", { privateMemory: true });
    const buf = r.export(4 * MIB);
    r.run(r.kvm.setMemoryAttributes(attributes(true, 0, 1024)));
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: 4 * MIB, buf, offset: 0 }));
    r.run(r.kvm.write(gpaAt(PAGE), bytes(7)));
    expect(leavesOf(r)).toEqual({ 2048: 1 });
    r.run(r.kvm.setMemoryAttributes(attributes(false, 64, 16)));
    expect(r.run(r.kvm.write(gpaAt(64 * PAGE), bytes(8), { view: "shared" })).kind).toBe("done");
    expect(r.run(r.kvm.read(gpaAt(PAGE), 8, { view: "private" }))).toEqual({ kind: "done", bytes: bytes(7) });
    r.run(r.kvm.write(gpaAt(2 * MIB), bytes(9)));
    expect([leavesOf(r), r.at(BAR + 64 * PAGE)[0]]).toEqual([{ 4: 2, 2048: 1 }, 8]);
  });
});

describe("KVM_PRE_FAULT_MEMORY", () => {
  const ask = (r: Rig, change: object = {}): number =>
    r.run(r.kvm.preFaultMemory({ gpa: BigInt(GPA), size: BigInt(4 * PAGE), flags: 0n, ...change }));
  const ready = (): Rig => {
    const r = rig("pfn");
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: 4 * PAGE, buf: r.export(4 * PAGE), offset: 0 }));
    return r;
  };

  it("makes leaves, and the vCPU has no fault", () => {
    const r = ready();
    expect([ask(r), leavesOf(r)]).toEqual([4 * PAGE, { 4: 4 }]);
    expect(endOf(r.run(r.kvm.write(gpaAt(3 * PAGE), bytes(1))))).toBe("done");
  });

  it.each<[string, object]>([
    ["flags", { flags: 1n }],
    ["an unaligned address", { gpa: BigInt(GPA) + 1n }],
    ["an unaligned size", { size: 1n }],
    ["nothing", { size: 0n }],
    ["a range that wraps", { gpa: 2n ** 64n - BigInt(PAGE), size: 2n * BigInt(PAGE) }],
  ])("EINVAL: %s", (_name, change) => expect(refusal(() => ask(ready(), change))).toBe("EINVAL@vcpu-run"));

  it("ENOENT: no slot, unless there was one before: then fewer bytes", () => {
    const r = ready();
    expect(refusal(() => ask(r, { gpa: BigInt(GPA + 4 * PAGE) }))).toBe("ENOENT@vcpu-run");
    expect(ask(r, { gpa: BigInt(GPA + 2 * PAGE) })).toBe(2 * PAGE);
  });

  it("EIO: revoked; nothing is left", () => {
    const r = ready();
    r.run(r.exporter.revoke());
    expect([refusal(() => ask(r)), leavesOf(r)]).toEqual(["EIO@vcpu-run", {}]);
  });

  it("EAGAIN: the slot is being deleted; a vCPU waits, and finds none", () => {
    const r = ready();
    r.run(r.kvm.write(GPA, bytes(1)));
    const remove = r.kvm.removeMemslot(0);
    // Up to where the zap waits for mmu_lock: the slot is marked.
    for (let at = remove.next(); at.value && at.value.site !== "kvm.mmu_lock"; ) at = remove.next();
    expect(refusal(() => ask(r))).toBe("EAGAIN@vcpu-run");
    const guest = r.scheduler.spawn("vCPU", r.kvm.write(gpaAt(PAGE), bytes(1)));
    r.scheduler.spawn("remove", remove);
    r.scheduler.run();
    expect(guest.result).toMatchObject({ exit: "mmio" });
  });
});

it("a page of the process migrates, and the guest's bytes go with it", () => {
  const r = rig("vma");
  r.kvm.process.mapRam(HVA, RAM, 4 * PAGE);
  r.run(r.kvm.setUserMemoryRegion({ slot: 0, flags: 0, ...place }));
  r.run(r.kvm.write(GPA, bytes(1)));
  const to = addr<PhysAddr>(RAM + MIB);
  const copy = function* (): Op<void> {
    yield* point("copy");
    r.machine.memory.write(to, r.at(RAM, 4 * PAGE));
  };
  r.run(r.kvm.process.migrate(HVA, to, copy));
  r.run(r.kvm.write(addr<Gpa>(GPA + 8), bytes(2)));
  expect([r.at(to, 16), r.at(RAM + 8)]).toEqual([Uint8Array.of(...bytes(1), ...bytes(2)), bytes(0)]);
});

it("a migration that fails leaves the guest its page, and nobody waits for its end", () => {
  const r = rig("vma");
  r.kvm.process.mapRam(HVA, RAM, 4 * PAGE);
  r.run(r.kvm.setUserMemoryRegion({ slot: 0, flags: 0, ...place }));
  const to = addr<PhysAddr>(RAM + MIB);
  const fails = function* (): Op<void> {
    yield* point("copy");
    throw new Error("no copy");
  };
  expect(() => r.run(r.kvm.process.migrate(HVA, to, fails))).toThrow("no copy");
  const half = (): void => r.run(r.kvm.process.migrate(HVA, addr(to + 1), fails));
  expect([refusal(half), refusal(() => r.kvm.process.mapRam(0, addr(1), PAGE))]).toEqual([
    "EINVAL@mmap",
    "EINVAL@mmap",
  ]);
  r.run(r.kvm.write(GPA, bytes(1)));
  r.run(r.kvm.removeMemslot(0));
  expect(r.at(RAM)).toEqual(bytes(1));
});

it("two that end a VM's slots at once: each slot goes once", () => {
  const r = rig("pfn");
  const buf = r.export(2 * PAGE);
  for (const page of [0, 1])
    r.run(r.kvm.setMemslot({ gpa: gpaAt(page * PAGE), sizeBytes: PAGE, buf, offset: page * PAGE }));
  const tasks = [r.kvm.destroy(), r.kvm.destroy()].map((op) => r.scheduler.spawn("destroy", op));
  r.scheduler.run();
  expect([tasks.map((t) => t.state), buf.refs, r.fw.findings]).toEqual([["done", "done"], 1, []]);
});
