/** guest_memfd and attributes on the machine: where the guest's bytes lie, who reads them afterwards, and each exit. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, type Gpa, type Op, type PhysAddr } from "@dma-buf/core";
import { differences, GuestMemory, GuestVm } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { kvmIoctl } from "./ioctl.js";
import { FALLOC_FL, GUEST_MEMFD_FLAG, type GuestMemfd, type KvmHost, type KvmImporter } from "./index.js";
import { gmemRegion, regionOf, u64Bytes } from "./testing/arguments.js";
import {
  bytes,
  endOf,
  GUEST_RAM,
  leavesOf,
  PAGE,
  RAM,
  type Rig,
  rig,
  type RigOptions,
  VARIANTS,
} from "./testing/rig.js";
import { KVM_IOCTL, KVM_MEMORY_ATTRIBUTE } from "./uapi.js";

/** Where the slot's 16 pages are, and where the process has its shared ones. */
const AT = addr<Gpa>(0x10_0000);
const HVA = 0x400_0000;
const { MMAP, INIT_SHARED } = GUEST_MEMFD_FLAG;
const PUNCH = FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE;
const at = (page: number): Gpa => addr<Gpa>(AT + page * PAGE);

interface GmemRig extends Rig {
  readonly fd: number;
  readonly gmem: GuestMemfd;
  convert(to: "private" | "shared", page?: number, pages?: number): Op<void>;
}

/** A slot over a guest_memfd of 16 pages, shared pages in RAM of the process; all of it private, unless `flags` say otherwise. */
function gmemRig(options: RigOptions & { flags?: bigint } = {}): GmemRig {
  const { flags = 0n } = options;
  const r = rig("pfn", { privateMemory: true, guestPages: 24, ...options });
  const fd = r.kvm.createGuestMemfd({ size: BigInt(16 * PAGE), flags });
  const file = r.kvm.files.get(fd);
  if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fd })));
  const convert = (to: "private" | "shared", page = 0, pages = 16): Op<void> => {
    const attributes = to === "private" ? KVM_MEMORY_ATTRIBUTE.PRIVATE : 0n;
    return r.kvm.setMemoryAttributes({ address: BigInt(at(page)), size: BigInt(pages * PAGE), attributes, flags: 0n });
  };
  if (flags === 0n) r.run(convert("private"));
  return { ...r, fd, gmem: file.gmem, convert };
}

/** The error that an access of the guest ends `KVM_RUN` with. */
function exitOf(r: Rig, op: Op<unknown>): DmaBufError {
  try {
    r.run(op);
  } catch (error) {
    if (error instanceof DmaBufError) return error;
    throw error;
  }
  throw new Error("the access went through");
}

describe("private and shared", () => {
  it("a private page is the file's, a shared one the process's", () => {
    const r = gmemRig();
    r.run(r.kvm.write(at(3), bytes(7)));
    expect([r.gmem.allocatedPages, r.at(GUEST_RAM), r.at(RAM + 3 * PAGE)]).toEqual([1, bytes(7), bytes(0)]);
    r.run(r.convert("shared", 4, 1));
    r.run(r.kvm.write(at(4), bytes(8)));
    expect([r.gmem.allocatedPages, r.at(RAM + 4 * PAGE)]).toEqual([1, bytes(8)]);
  });

  it("the wrong view: EFAULT, and the exit says which one is wanted; converting is what userspace does then", () => {
    const r = gmemRig();
    const exit = exitOf(r, r.kvm.write(at(2), bytes(1), { view: "shared" }));
    expect([exit.code, exit.stage]).toEqual(["EFAULT", "vcpu-run"]);
    expect(exit.values).toEqual({ exit: "memory-fault", gpa: at(2), sizeBytes: PAGE, private: false });
    expect(leavesOf(r)).toEqual({});
    r.run(r.convert("shared", 2, 1));
    expect(r.run(r.kvm.write(at(2), bytes(1), { view: "shared" })).kind).toBe("done");
    expect(exitOf(r, r.kvm.read(at(2), 8, { view: "private" })).values).toMatchObject({ private: true });
  });

  it("a conversion takes away what the guest had, here and nowhere else", () => {
    const r = gmemRig();
    for (const page of [0, 1, 2]) r.run(r.kvm.write(at(page), bytes(page + 1)));
    expect(leavesOf(r)).toEqual({ 4: 3 });
    r.run(r.convert("shared", 1, 1));
    expect(leavesOf(r)).toEqual({ 4: 2 });
    expect(r.run(r.kvm.read(at(1), 8))).toEqual({ kind: "done", bytes: bytes(0) });
    r.run(r.convert("private", 1, 1));
    // The file still has the page: a conversion does not free it.
    expect(r.run(r.kvm.read(at(1), 8))).toEqual({ kind: "done", bytes: bytes(2) });
  });

  it("a VM without private memory has no attributes", () => {
    const r = rig("pfn");
    const request = { address: 0n, size: 4096n, attributes: KVM_MEMORY_ATTRIBUTE.PRIVATE, flags: 0n };
    expect(refusal(() => r.run(r.kvm.setMemoryAttributes(request)))).toBe("EINVAL@memslot");
  });

  it("where the slot has no guest_memfd, a private frame is EFAULT", () => {
    const r = rig("pfn", { privateMemory: true });
    r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
    r.run(r.kvm.setUserMemoryRegion(regionOf()));
    const attributes = KVM_MEMORY_ATTRIBUTE.PRIVATE;
    r.run(r.kvm.setMemoryAttributes({ address: BigInt(AT), size: 4096n, attributes, flags: 0n }));
    expect(exitOf(r, r.kvm.read(AT, 8))).toMatchObject({ code: "EFAULT", values: { private: true } });
    expect(endOf(r.run(r.kvm.read(at(1), 8)))).toBe("done");
  });
});

describe("what the file does", () => {
  it("a new page is zero, though its last owner left something", () => {
    const r = gmemRig();
    r.run(r.kvm.write(at(0), bytes(0x5e)));
    r.run(r.gmem.fallocate(PUNCH, 0, PAGE));
    expect(r.machine.resources.read()).toMatchObject({ guestPages: 0 });
    expect(r.run(r.kvm.read(at(9), 8))).toEqual({ kind: "done", bytes: bytes(0) });
    // It is the same frame.
    r.run(r.kvm.write(at(9), bytes(3)));
    expect(r.at(GUEST_RAM)).toEqual(bytes(3));
  });

  it("a hole: the guest has it no more, and gets a page of zeros", () => {
    const r = gmemRig();
    for (const page of [4, 5]) r.run(r.kvm.write(at(page), bytes(page)));
    r.run(r.gmem.fallocate(PUNCH, 5 * PAGE, PAGE));
    expect(leavesOf(r)).toEqual({ 4: 1 });
    expect(r.run(r.kvm.read(at(5), 8))).toEqual({ kind: "done", bytes: bytes(0) });
    expect(r.run(r.kvm.read(at(4), 8))).toEqual({ kind: "done", bytes: bytes(4) });
  });

  it("closed: the guest has none of it, a fault is EFAULT, and the slot goes like any other", () => {
    const r = gmemRig();
    r.run(r.kvm.write(at(0), bytes(1)));
    r.run(r.kvm.files.close(r.fd));
    expect([leavesOf(r), r.machine.resources.read()["guestPages"]]).toEqual([{}, 0]);
    expect(exitOf(r, r.kvm.read(at(0), 8))).toMatchObject({ code: "EFAULT", values: { exit: "memory-fault" } });
    r.run(r.kvm.setUserMemoryRegion(regionOf({ memorySize: 0n })));
    expect(endOf(r.run(r.kvm.read(at(0), 8)))).toBe("mmio");
  });

  it("a page that the hardware lost: EHWPOISON with its exit", () => {
    const r = gmemRig();
    r.run(r.kvm.write(at(0), bytes(1)));
    r.run(r.gmem.memoryFailure(0));
    expect(leavesOf(r)).toEqual({});
    expect(exitOf(r, r.kvm.read(at(0), 8))).toMatchObject({ code: "EHWPOISON", values: { exit: "memory-fault" } });
  });

  it("ENOMEM: the host's pages are out", () => {
    const r = gmemRig({ guestPages: 1 });
    r.run(r.kvm.write(at(0), bytes(1)));
    expect(exitOf(r, r.kvm.write(at(1), bytes(1)))).toMatchObject({ code: "ENOMEM", stage: "vcpu-run" });
  });

  it("a file that can be mapped: shared pages are its own, and the process reads what the guest wrote", () => {
    const r = gmemRig({ flags: MMAP | INIT_SHARED, privateMemory: false });
    const mapping = r.gmem.mmap("shared");
    r.run(r.kvm.write(at(6), bytes(9)));
    expect([r.at(mapping.fault(6 * PAGE)), r.at(RAM + 6 * PAGE)]).toEqual([bytes(9), bytes(0)]);
    r.run(mapping.munmap());
  });

  it("leaves are pages, as the file says order 0, though slot and file are aligned", () => {
    const r = rig("pfn", { privateMemory: true, guestPages: 512 });
    const fd = r.kvm.createGuestMemfd({ size: 2n ** 21n, flags: 0n });
    const region = { guestPhysAddr: 0n, userspaceAddr: 0n, memorySize: 2n ** 21n, guestMemfd: fd };
    r.run(r.kvm.setUserMemoryRegion(gmemRegion(region)));
    const attributes = KVM_MEMORY_ATTRIBUTE.PRIVATE;
    r.run(r.kvm.setMemoryAttributes({ address: 0n, size: 2n ** 21n, attributes, flags: 0n }));
    expect(r.run(r.kvm.preFaultMemory({ gpa: 0n, size: 2n ** 21n, flags: 0n }))).toBe(2 ** 21);
    expect(leavesOf(r)).toEqual({ 4: 512 });
  });
});

it("hardware that keeps a private page so: the guest reads it, the host does not", () => {
  const r = rig("pfn");
  const ram = { base: addr<PhysAddr>(0x3000_0000), sizeBytes: 4 * PAGE };
  const guestMemory = new GuestMemory(r.machine, { ram, confidentialTo: "secret" });
  const host: KvmHost = new GuestVm(r.machine, "secret", true, { guestMemory });
  const kvm: KvmImporter = VARIANTS.pfn.kvm()(r.fw, host);
  const fd = kvm.createGuestMemfd({ size: BigInt(4 * PAGE), flags: 0n });
  r.run(kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fd, memorySize: BigInt(4 * PAGE) })));
  const all = { address: BigInt(AT), size: BigInt(4 * PAGE), flags: 0n };
  r.run(kvm.setMemoryAttributes({ ...all, attributes: KVM_MEMORY_ATTRIBUTE.PRIVATE }));
  r.run(kvm.write(AT, bytes(0x77)));
  expect(r.run(kvm.read(AT, 8))).toMatchObject({ kind: "done", bytes: bytes(0x77) });
  expect(r.machine.cpuAccess(ram.base).kind).toBe("lost");
  r.run(kvm.files.close(fd));
  expect([r.machine.cpuAccess(ram.base).kind === "lost", r.at(ram.base)]).toEqual([false, bytes(0xaa)]);
});

it("after every refusal the ledgers are as they were", () => {
  const r = gmemRig();
  r.run(r.kvm.write(at(0), bytes(1)));
  const private16 = gmemRegion({ guestMemfd: r.fd });
  const attributes = { address: 1n, size: 4096n, attributes: 0n, flags: 0n };
  const refused: [string, () => void][] = [
    ["EEXIST@memslot", () => r.run(r.kvm.setUserMemoryRegion({ ...private16, slot: 1, guestPhysAddr: 0n }))],
    ["EINVAL@memslot", () => r.run(r.kvm.setUserMemoryRegion(private16))],
    [
      "EBADF@memslot",
      () => r.run(r.kvm.setUserMemoryRegion(gmemRegion({ slot: 1, guestMemfd: 99, guestPhysAddr: 0n }))),
    ],
    ["EINVAL@memslot", () => r.run(r.kvm.setMemoryAttributes(attributes))],
    ["EINVAL@memslot", () => void r.kvm.createGuestMemfd({ size: 0n, flags: 0n })],
    ["EFAULT@vcpu-run", () => r.run(r.kvm.read(at(1), 8, { view: "shared" }))],
    ["EOPNOTSUPP@fd", () => r.run(r.gmem.fallocate(0, 0, PAGE))],
  ];
  for (const [expected, act] of refused) {
    const before = r.machine.resources.read();
    expect(refusal(act)).toBe(expected);
    expect(differences(before, r.machine.resources.read())).toEqual([]);
  }
  r.run(r.kvm.destroy());
  expect(r.machine.resources.read()["guestPages"]).toBe(0);
});

it("the ioctls on bytes: a file, a slot, attributes, a page before the guest asks, and what is written back", () => {
  const r = rig("pfn", { privateMemory: true, guestPages: 4 });
  const call = (command: number, user: Uint8Array): number => r.run(kvmIoctl(r.kvm, command, user));
  const fd = call(KVM_IOCTL.CREATE_GUEST_MEMFD, u64Bytes([BigInt(4 * PAGE), 0n], 64));
  const region = new Uint8Array(160);
  region.set(u64Bytes([4n << 32n, BigInt(AT), BigInt(4 * PAGE), 0n, 0n, BigInt(fd)], 48));
  expect(call(KVM_IOCTL.SET_USER_MEMORY_REGION2, region)).toBe(0);
  expect(call(KVM_IOCTL.SET_MEMORY_ATTRIBUTES, u64Bytes([BigInt(AT), BigInt(4 * PAGE), 8n], 32))).toBe(0);
  const range = u64Bytes([BigInt(AT), BigInt(3 * PAGE)], 64);
  expect(call(KVM_IOCTL.PRE_FAULT_MEMORY, range)).toBe(0);
  expect(range).toEqual(u64Bytes([BigInt(at(3)), 0n], 64));
  expect(leavesOf(r)).toEqual({ 4: 3 });
  expect(refusal(() => call(KVM_IOCTL.SET_USER_MEMORY_REGION, region))).toBe("EINVAL@memslot");
});
