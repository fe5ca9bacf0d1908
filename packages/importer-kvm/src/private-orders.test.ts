/**
 * Every order of a vCPU's access and of what takes a private page away: a conversion, a hole, the end of the file, the end
 * of the slot. Whoever comes after it must not reach the page, which has another owner by then.
 */
import { addr, DmaBufError, explore, type Gpa, type Op, type PhysAddr, type Scheduler } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { FALLOC_FL, type KvmOptions } from "./index.js";
import { gmemRegion, regionOf } from "./testing/arguments.js";
import { bytes, GUEST_RAM, PAGE, RAM, rig } from "./testing/rig.js";
import { KVM_MEMORY_ATTRIBUTE } from "./uapi.js";

const AT = addr<Gpa>(0x10_0000);
const HVA = 0x400_0000;
const PAGE_0 = { address: BigInt(AT), size: BigInt(PAGE), flags: 0n };
/** What the page's next owner writes there. */
const SECRET = 0x99;

type Take = "conversion" | "hole" | "close" | "delete";

interface Play {
  readonly kvm?: KvmOptions;
  /** Has every vCPU the page cached before? */
  readonly cached: boolean;
  readonly vcpus: 1 | 2;
  readonly access: "read" | "write";
}

/** Accesses of the guest that reached the page after it was taken away, and accesses that ended in a way that no order allows. */
function play(scheduler: Scheduler, take: Take, { kvm = {}, cached, vcpus, access }: Play): readonly string[] {
  const r = rig("pfn", {
    kvm,
    privateMemory: true,
    guestPages: 2,
    guest: { vcpus },
    framework: { scheduler, trace: false },
  });
  const fd = r.kvm.createGuestMemfd({ size: BigInt(16 * PAGE), flags: 0n });
  const file = r.kvm.files.get(fd);
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fd })));
  r.run(r.kvm.setMemoryAttributes({ ...PAGE_0, attributes: KVM_MEMORY_ATTRIBUTE.PRIVATE }));
  if (cached) for (let vcpu = 0; vcpu < vcpus; vcpu++) r.run(r.kvm.write(AT, bytes(1), { vcpu }));
  const takes: Record<Take, () => Op<void>> = {
    conversion: () => r.kvm.setMemoryAttributes({ ...PAGE_0, attributes: 0n }),
    hole: () => {
      if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
      return file.gmem.fallocate(FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE, 0, PAGE);
    },
    close: () => r.kvm.files.close(fd),
    delete: () => r.kvm.setUserMemoryRegion(regionOf({ memorySize: 0n })),
  };
  const wrong: string[] = [];
  let taken = Infinity;
  scheduler.spawn(take, owner());
  for (let vcpu = 0; vcpu < vcpus; vcpu++) scheduler.spawn(`vCPU ${vcpu}`, guest(vcpu));
  if (scheduler.run().kind !== "done") wrong.push("did not end");
  const late = r.machine.arrivals.slice(taken).filter((a) => a.physical === GUEST_RAM && a.by.startsWith("guest"));
  return [...wrong, ...late.map((a) => `${a.by} reached a page that was taken from it`)];

  function* owner(): Op<void> {
    yield* takes[take]();
    if (take === "conversion" || take === "delete") taken = r.machine.arrivals.length;
    // The file gave the page back, and somebody else gets it at once. If it has one again, that is the guest's by right.
    else if (r.machine.resources.read()["guestPages"] === 0) {
      taken = r.machine.arrivals.length;
      r.machine.memory.write(r.vm.guestMemory?.allocPage() as PhysAddr, bytes(SECRET));
    }
  }
  function* guest(vcpu: number): Op<void> {
    try {
      const op = access === "write" ? r.kvm.write(AT, bytes(2), { vcpu }) : r.kvm.read(AT, 8, { vcpu });
      const result = yield* op;
      if (result.kind === "done" && result.bytes[0] === SECRET) wrong.push(`vCPU ${vcpu} read what is another's`);
    } catch (error) {
      if (take !== "close" || !/EFAULT/.test(String(error))) wrong.push(String(error));
    }
  }
}

function search(take: Take, options: Play, ordersMax = 5000) {
  const found = explore((scheduler) => play(scheduler, take, options), {
    badness: (wrong) => wrong.length,
    ordersMax,
  });
  return { kind: found.kind, explored: found.explored, wrong: found.worst.result };
}

const COLD = { cached: false, vcpus: 1, access: "write" } as const;
const WARM = { cached: true, vcpus: 1, access: "read" } as const;

describe("nobody reaches the page afterwards, in any order", () => {
  it.each<[Take, string, Play, number]>([
    ["conversion", "a vCPU that faults", COLD, 88],
    ["conversion", "one that has it cached", WARM, 28],
    ["hole", "a vCPU that faults", COLD, 88],
    ["hole", "one that has it cached", WARM, 28],
    ["close", "a vCPU that faults", COLD, 41],
    ["close", "one that has it cached", WARM, 28],
    ["delete", "a vCPU that faults", COLD, 78],
    ["delete", "one that has it cached", WARM, 21],
  ])("%s and %s", (take, _who, options, explored) => {
    expect(search(take, options)).toEqual({ kind: "exhausted", explored, wrong: [] });
  });

  it.each<[Take, string, Play]>([
    ["conversion", "two that fault", { ...COLD, vcpus: 2 }],
    ["delete", "two that have it cached", { ...WARM, vcpus: 2 }],
  ])("%s and %s: the first 300 orders", (take, _who, options) => {
    expect(search(take, options, 300)).toEqual({ kind: "bounded", explored: 300, wrong: [] });
  });
});

describe("with a guard taken out, somebody does", () => {
  const late = "guest reached a page that was taken from it";
  const read = "vCPU 0 read what is another's";
  it.each<[Take, string, Play, readonly string[]]>([
    ["conversion", "retry", { ...COLD, kvm: { retry: false } }, [late]],
    ["conversion", "the look at what is in progress", { ...COLD, kvm: { retryInProgress: false } }, [late]],
    ["conversion", "the look under mmu_lock", { ...COLD, kvm: { unsafeCheckOnly: true } }, [late]],
    ["conversion", "the flush", { ...WARM, kvm: { flush: false } }, [late]],
    ["hole", "retry", { ...COLD, kvm: { retry: false } }, [late]],
    ["hole", "the look at what is in progress", { ...COLD, kvm: { retryInProgress: false } }, [late]],
    ["hole", "the look under mmu_lock", { ...COLD, kvm: { unsafeCheckOnly: true } }, [late]],
    ["hole", "the flush", { ...WARM, kvm: { flush: false } }, [read, late]],
    ["close", "retry", { ...COLD, kvm: { retry: false } }, [late]],
    ["close", "the look at what is in progress", { ...COLD, kvm: { retryInProgress: false } }, [late]],
    ["close", "the look under mmu_lock", { ...COLD, kvm: { unsafeCheckOnly: true } }, [late]],
    ["close", "the flush", { ...WARM, kvm: { flush: false } }, [read, late]],
    ["delete", "the flush", { ...WARM, kvm: { flush: false } }, [late]],
    // It waits for faults that found the slot before it was marked, whatever they look at.
    ["delete", "retry", { ...COLD, kvm: { retry: false } }, []],
  ])("%s without %s", (take, _guard, options, wrong) => {
    expect(search(take, options)).toMatchObject({ kind: "exhausted", wrong });
  });
});

it("a slot comes to the file while a hole is punched: no leaf leads to a page that the file gave back", () => {
  const found = explore(
    (scheduler) => {
      const r = rig("pfn", { privateMemory: true, guestPages: 4, framework: { scheduler, trace: false } });
      const fd = r.kvm.createGuestMemfd({ size: BigInt(32 * PAGE), flags: 0n });
      const file = r.kvm.files.get(fd);
      if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
      r.run(r.kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fd })));
      const second = { slot: 1, guestPhysAddr: 0x20_0000n, guestMemfdOffset: BigInt(16 * PAGE), guestMemfd: fd };
      const attributes = KVM_MEMORY_ATTRIBUTE.PRIVATE;
      r.run(r.kvm.setMemoryAttributes({ address: 0x20_0000n, size: 4096n, attributes, flags: 0n }));
      const mode = FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE;
      scheduler.spawn("hole", file.gmem.fallocate(mode, 0, 32 * PAGE));
      scheduler.spawn("vmm", slotAndAccess());
      const end = scheduler.run();
      return [...r.vm.table.leaves()].length - file.gmem.allocatedPages + (end.kind === "done" ? 0 : 100);

      function* slotAndAccess(): Op<void> {
        yield* r.kvm.setUserMemoryRegion(gmemRegion(second));
        yield* r.kvm.write(addr<Gpa>(0x20_0000), bytes(1));
      }
    },
    { badness: (leavesTooMany) => leavesTooMany, ordersMax: 5000 },
  );
  expect(found).toMatchObject({ kind: "exhausted", explored: 142, worst: { result: 0 } });
});

it("a slot comes to the file while it is closed: there is a slot or EBADF, and nothing of the file stays", () => {
  const ends = new Set<string>();
  const found = explore(
    (scheduler) => {
      const r = rig("pfn", { privateMemory: true, guestPages: 4, framework: { scheduler, trace: false } });
      const fd = r.kvm.createGuestMemfd({ size: BigInt(16 * PAGE), flags: 0n });
      const file = r.kvm.files.get(fd);
      if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
      r.run(r.kvm.setMemoryAttributes({ ...PAGE_0, attributes: KVM_MEMORY_ATTRIBUTE.PRIVATE }));
      scheduler.spawn("close", r.kvm.files.close(fd));
      const vmm = scheduler.spawn("vmm", slotAndAccess());
      const end = scheduler.run();
      ends.add(vmm.error instanceof DmaBufError ? `${vmm.error.code}@${vmm.error.stage}` : "done");
      const left = [file.gmem.bound.length, [...r.vm.table.leaves()].length, r.machine.resources.read()["guestPages"]];
      return end.kind === "done" ? left.reduce<number>((n, one) => n + (one as number), 0) : 100;

      function* slotAndAccess(): Op<void> {
        yield* r.kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fd }));
        yield* r.kvm.write(AT, bytes(1));
      }
    },
    { badness: (left) => left, ordersMax: 5000 },
  );
  expect(found).toMatchObject({ kind: "exhausted", worst: { result: 0 } });
  expect([...ends].toSorted()).toEqual(["EBADF@memslot", "EFAULT@vcpu-run", "done"]);
  expect(found.explored).toBe(33);
});
