/** A device that belongs to one VM: who is kept out, and with which errno. RFC of January 2025, patches 8 to 10. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type MaySleep, type Op, perform, type PfnAnswer, point, Scheduler, type Vma } from "@dma-buf/core";
import { RecordingHost } from "@dma-buf/conformance";
import type { PhysVec } from "@dma-buf/scatterlist";
import { describe, expect, it } from "vitest";
import { BarMmaps } from "./bar-mmap.js";
import { MemoryLock } from "./memory-lock.js";
import { PrivateBinding, VFIO_DMA_BUF_PRIVATE_KVM, VFIO_REGION_INFO_FLAG, type VfioDmaBufGetData } from "./private.js";
import { fakeHost, PAGE } from "./testing.js";

const { READ, WRITE, MMAP, PRIVATE } = VFIO_REGION_INFO_FLAG;
const vm1 = { name: "VM1" };
const vm2 = { name: "VM2" };

function rig(takeAway?: (why: string) => Op<void>) {
  const scheduler = new Scheduler();
  const taken: string[] = [];
  const binding = new PrivateBinding(
    fakeHost(),
    takeAway ??
      function* (why) {
        taken.push(why);
        yield* point("take away");
      },
    () => {},
  );
  return { scheduler, taken, binding, run: <T>(op: Op<T>): T => scheduler.complete("test", op) };
}

/** One that is bound to VM 1. */
function bound() {
  const all = rig();
  all.run(all.binding.bind(vm1));
  return all;
}

describe("binding", () => {
  it("takes the BARs away once, and says whose they are", () => {
    const { binding, taken } = bound();
    expect(binding.data).toEqual({ isPrivate: true, kvm: vm1 });
    expect(taken).toEqual(["private binding"]);
  });

  it("keeps everybody out before it takes anything away, so that nobody comes back", () => {
    const seen: string[] = [];
    const { binding, run } = rig(function* () {
      seen.push(refusal(() => binding.checkMmap(0)));
    });
    run(binding.bind(vm1));
    expect(seen).toEqual(["EINVAL@mmap"]);
  });

  it.each([
    ["another VM", vm2],
    ["the same", vm1],
  ])("EBUSY for a second one, by %s: the first stays, and nothing is taken away", (_name, kvm) => {
    const { binding, run, taken } = bound();
    const act = (): void => run(binding.bind(kvm));
    expect(refusal(act)).toBe("EBUSY@fd");
    expect(act).toThrow(/0000:01:00.0 is bound to a VM already: unbind it first/);
    expect(binding.data.kvm).toBe(vm1);
    expect(taken).toHaveLength(1);
  });

  it("EBUSY also while the first is not done", () => {
    const { binding, run } = rig();
    const first = binding.bind(vm1);
    first.next();
    expect(refusal(() => run(binding.bind(vm2)))).toBe("EBUSY@fd");
  });

  it.each([null, undefined, "VM1", 1])("EINVAL for %s: a VM is an object, by identity", (kvm) => {
    const { binding, run, taken } = rig();
    expect(refusal(() => run(binding.bind(kvm as never)))).toBe("EINVAL@fd");
    expect([binding.data.isPrivate, taken]).toEqual([false, []]);
  });

  it("one that breaks off leaves the device nobody's", () => {
    const { binding, run } = rig(function* () {
      throw new Error("the end of the task");
    });
    expect(() => run(binding.bind(vm1))).toThrow("the end of the task");
    expect(binding.data).toEqual({ isPrivate: false, kvm: null });
  });

  it("a task that is ended while it waits leaves the device nobody's", () => {
    const { binding } = rig();
    const op = binding.bind(vm1);
    op.next();
    op.return();
    expect(binding.data.isPrivate).toBe(false);
  });

  it("is undone by unbind, which takes the VM's mappings away while they are still its own; then another may", () => {
    let during: object | null = null;
    const { binding, run } = rig(function* (why) {
      if (why === "private unbinding") during = binding.data.kvm;
    });
    run(binding.bind(vm1));
    run(binding.unbind());
    expect([binding.data, during]).toEqual([{ isPrivate: false, kvm: null }, vm1]);
    run(binding.bind(vm2));
    expect(binding.data.kvm).toBe(vm2);
  });

  it("unbind of what is nobody's does nothing", () => {
    const { binding, run, taken } = rig();
    run(binding.unbind());
    expect(taken).toEqual([]);
  });
});

describe("region info", () => {
  it.each([
    ["a memory BAR", 0, READ | WRITE | MMAP, PRIVATE],
    ["an I/O BAR, which nobody can map", 2, READ | WRITE, READ | WRITE],
    ["a BAR that is not there", 1, 0, 0],
  ])("%s", (_name, regionIndex, shared, priv) => {
    const { binding, run } = rig();
    expect(binding.regionFlags(regionIndex)).toBe(shared);
    run(binding.bind(vm1));
    expect(binding.regionFlags(regionIndex)).toBe(priv);
    run(binding.unbind());
    expect(binding.regionFlags(regionIndex)).toBe(shared);
  });
});

describe("the host", () => {
  it.each([0, 2, 6, 7])("maps region %i while nothing is private, and then none: EINVAL", (regionIndex) => {
    expect(refusal(() => rig().binding.checkMmap(regionIndex))).toBe("ok");
    const { binding } = bound();
    const act = (): void => binding.checkMmap(regionIndex);
    expect(refusal(act)).toBe("EINVAL@mmap");
    expect(act).toThrow(`no mmap of region ${regionIndex}: 0000:01:00.0 is private to a VM`);
  });

  const mmaps = (of: ReturnType<typeof rig>): BarMmaps =>
    new BarMmaps({
      host: fakeHost(),
      lock: new MemoryLock(of.scheduler),
      enabled: () => true,
      binding: of.binding,
    });

  it("cannot map a private BAR: the VMA is left alone", () => {
    const vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    expect(refusal(() => mmaps(bound()).mmap(0, vma))).toBe("EINVAL@mmap");
    expect(vma.fault).toBeNull();
  });

  it("gets SIGBUS from a mapping that it made before, until the device is unbound", () => {
    const all = rig();
    const vma: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    mmaps(all).mmap(0, vma);
    const touch = (): string =>
      refusal(() => all.run(perform((vma.fault as (page: number) => MaySleep<PfnAnswer>)(0))));
    all.run(all.binding.bind(vm1));
    expect(touch()).toBe("EFAULT@mmap");
    all.run(all.binding.unbind());
    expect(touch()).toBe("ok");
  });
});

describe("an importer", () => {
  it("asks whose the buffer is, under a symbol that any copy of the package shares", () => {
    const { binding, run } = rig();
    expect(VFIO_DMA_BUF_PRIVATE_KVM).toBe(Symbol.for("vfio_dma_buf_private_kvm"));
    const getData = binding.interfaces.get(VFIO_DMA_BUF_PRIVATE_KVM) as VfioDmaBufGetData;
    expect(getData()).toEqual({ isPrivate: false, kvm: null });
    run(binding.bind(vm1));
    expect([getData().kvm === vm1, getData().kvm === vm2]).toEqual([true, false]);
  });

  it.each(["attach", "map", "query"] as const)("with a device is refused at %s, with EOPNOTSUPP", (stage) => {
    const { device } = new RecordingHost();
    const nic = { device, importerName: "nic" };
    const act = (): void => bound().binding.checkDevice(nic, stage);
    expect(refusal(act)).toBe(`EOPNOTSUPP@${stage}`);
    expect(act).toThrow(new RegExp(`nic comes with ${device.name}: unbind it first`));
    expect(refusal(() => rig().binding.checkDevice(nic, stage))).toBe("ok");
  });

  it("without a device, as a VM is, is served", () => {
    expect(refusal(() => bound().binding.checkDevice({ device: null, importerName: "kvm" }, "attach"))).toBe("ok");
  });
});

describe("a second export of the same bytes", () => {
  const vec = (page: number, pages: number): PhysVec => ({ physical: addr(page * PAGE), sizeBytes: pages * PAGE });

  it.each<[string, PhysVec[], PhysVec[][], string]>([
    ["nothing else is out", [vec(4, 4)], [], "ok"],
    ["the same", [vec(4, 4)], [[vec(4, 4)]], "EBUSY@export"],
    ["its first page", [vec(4, 4)], [[vec(4, 1)]], "EBUSY@export"],
    ["its last page", [vec(4, 4)], [[vec(7, 1)]], "EBUSY@export"],
    ["the page before", [vec(4, 4)], [[vec(3, 1)]], "ok"],
    ["the page behind", [vec(4, 4)], [[vec(8, 1)]], "ok"],
    [
      "a second range of a second buffer",
      [vec(20, 1), vec(4, 4)],
      [[vec(30, 1)], [vec(40, 1), vec(5, 9)]],
      "EBUSY@export",
    ],
    ["ranges that repeat inside itself", [vec(4, 4), vec(4, 4)], [], "ok"],
  ])("%s", (_name, vecs, exported, expected) => {
    const { binding } = bound();
    const others = exported.map((other) => ({ vecs: other }));
    expect(refusal(() => binding.checkExport(vecs, others))).toBe(expected);
    expect(refusal(() => rig().binding.checkExport(vecs, others))).toBe("ok");
  });
});
