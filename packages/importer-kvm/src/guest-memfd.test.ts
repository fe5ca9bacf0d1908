/** guest_memfd: creation, pages, holes, mappings, bindings, loss and end, each errno by name. */
import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { PAGE_SIZE } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { GmemPage } from "./gmem-pages.js";
import { checkCreate, FALLOC_FL } from "./gmem-requests.js";
import type { GuestMemfd } from "./guest-memfd.js";
import type { MemorySlot } from "./memslot.js";
import { gmemRegion, regionOf } from "./testing/arguments.js";
import { TestVm, type WorldOptions } from "./testing/slot-world.js";
import { GUEST_MEMFD_FLAG } from "./uapi.js";

const { KEEP_SIZE, PUNCH_HOLE } = FALLOC_FL;
const PUNCH = KEEP_SIZE | PUNCH_HOLE;
const { MMAP, INIT_SHARED } = GUEST_MEMFD_FLAG;

/** A file of 16 pages in slot 0, of which the guest has pages 4 to 11 as frames 0x100 to 0x107. */
function world(flags = 0n, options: WorldOptions = {}) {
  const vm = new TestVm({ rules: { privateMemory: (flags & INIT_SHARED) === 0n }, ...options });
  const gmem = vm.gmem(flags);
  vm.files.set(8, { kind: "guest-memfd", gmem });
  vm.set(gmemRegion({ guestMemfd: 8, guestMemfdOffset: 0x4000n, memorySize: 0x8000n }));
  vm.log.length = 0;
  const slot = vm.slots.byId(0, 0) as MemorySlot;
  const get = (gfn: number): GmemPage => gmem.getPfn(slot, 0x4000, gfn);
  return { vm, gmem, slot, get };
}

describe("KVM_CREATE_GUEST_MEMFD", () => {
  it.each<[string, bigint, bigint, string]>([
    ["a page", 4096n, 0n, "ok"],
    ["MMAP | INIT_SHARED", 4096n, MMAP | INIT_SHARED, "ok"],
    ["INIT_SHARED alone", 4096n, INIT_SHARED, "ok"],
    ["an unknown flag", 4096n, 4n, "EINVAL@memslot"],
    ["bit 63", 4096n, 2n ** 63n, "EINVAL@memslot"],
    ["size 0", 0n, 0n, "EINVAL@memslot"],
    ["unaligned", 4097n, 0n, "EINVAL@memslot"],
    ["the largest", 2n ** 63n - 4096n, 0n, "ok"],
    ["negative", 2n ** 63n, 0n, "EINVAL@memslot"],
    ["-4096", 2n ** 64n - 4096n, 0n, "EINVAL@memslot"],
    ["a bigint below 0", -4096n, 0n, "EINVAL@memslot"],
    ["flags below 0", 4096n, -4n, "EINVAL@memslot"],
  ])("%s", (_name, size, flags, expected) => {
    expect(refusal(() => checkCreate({ size, flags }, false))).toBe(expected);
  });

  it("no file begins shared in a VM with private memory; it may be mapped", () => {
    const flags = [INIT_SHARED, MMAP | INIT_SHARED, MMAP, 0n];
    expect(flags.map((f) => refusal(() => checkCreate({ size: 4096n, flags: f }, true)))).toEqual([
      "EINVAL@memslot",
      "EINVAL@memslot",
      "ok",
      "ok",
    ]);
  });

  it("has no pages at first, and none without a guest", () => {
    const { vm, gmem } = world();
    expect([gmem.allocatedPages, vm.host.live]).toEqual([0, 0]);
  });
});

describe("getting a page", () => {
  it("a new page is zeroed and made the guest's, once; order 0", () => {
    const { vm, get } = world();
    const page = get(0x103);
    expect(page.maxOrder).toBe(0);
    expect(get(0x103).physical).toBe(page.physical);
    expect(get(0x104).physical).not.toBe(page.physical);
    expect(vm.host.log).toEqual(["zero 100", "private 100", "zero 101", "private 101"]);
  });

  it("of a file that begins shared, the host may have it too", () => {
    const { vm, get } = world(MMAP | INIT_SHARED);
    get(0x100);
    expect(vm.host.log).toEqual(["zero 100"]);
  });

  it("EIO: the file's page is another slot's, or nobody's", () => {
    const { vm, gmem, slot, get } = world();
    const other = { ...slot, id: 1 };
    expect(refusal(() => gmem.getPfn(other, 0x4000, 0x100))).toBe("EIO@vcpu-run");
    expect(refusal(() => get(0x108))).toBe("EIO@vcpu-run");
    expect(refusal(() => get(0xff))).toBe("EIO@vcpu-run");
    vm.set(regionOf({ memorySize: 0n }));
    expect(refusal(() => get(0x100))).toBe("EIO@vcpu-run");
    expect(gmem.allocatedPages).toBe(0);
  });

  it("EFAULT: the file is closed, though the slot is there", () => {
    const { vm, gmem, get } = world();
    vm.run(gmem.close());
    expect(refusal(() => get(0x100))).toBe("EFAULT@vcpu-run");
    expect(vm.slots.byId(0, 0)).not.toBeNull();
  });

  it("EHWPOISON: the hardware lost it; a hole, and there is another", () => {
    const { vm, gmem, get } = world();
    const first = get(0x102);
    first.put();
    vm.run(gmem.memoryFailure(6 * PAGE_SIZE));
    expect(vm.log).toEqual(["zap private 102..103"]);
    expect(refusal(() => get(0x102))).toBe("EHWPOISON@vcpu-run");
    vm.run(gmem.fallocate(PUNCH, 6 * PAGE_SIZE, PAGE_SIZE));
    expect(vm.host.log.slice(2)).toEqual(["shared 100", "offline 100"]);
    expect(get(0x102).physical).not.toBe(first.physical);
  });

  it("is lost with the file's lock held: nobody binds or punches meanwhile", () => {
    const { vm, gmem } = world();
    const lock = vm.run(gmem.lock("a test"));
    const losing = gmem.memoryFailure(4 * PAGE_SIZE);
    expect(losing.next().value?.ready?.()).toBe(false);
    lock[Symbol.dispose]();
    expect(losing.return().done).toBe(true);
  });

  it("a page that is not there cannot be lost", () => {
    const { vm, gmem, get } = world();
    vm.run(gmem.memoryFailure(6 * PAGE_SIZE));
    expect(errnoOf(() => get(0x102))).toBe("ok");
  });

  it("ENOMEM: no page is left, and the file has none of it", () => {
    const { gmem, get } = world(0n, { pages: 1 });
    get(0x100);
    expect(errnoOf(() => get(0x101))).toBe("ENOMEM");
    expect(gmem.allocatedPages).toBe(1);
  });
});

describe("fallocate", () => {
  it.each<[string, number, number, number, string]>([
    ["allocate", KEEP_SIZE, 0, 4096, "ok"],
    ["punch", PUNCH, 0, 4096, "ok"],
    ["mode 0", 0, 0, 4096, "EOPNOTSUPP@fd"],
    ["PUNCH_HOLE without KEEP_SIZE", PUNCH_HOLE, 0, 4096, "EOPNOTSUPP@fd"],
    ["another mode", KEEP_SIZE | 16, 0, 4096, "EOPNOTSUPP@fd"],
    ["the mode before the alignment", 0, 1, 1, "EOPNOTSUPP@fd"],
    ["a range that is none before the mode", 0, 0, 0, "EINVAL@fd"],
    ["far beyond the end", PUNCH, 2 ** 62, 2 ** 62, "ok"],
    ["a part of a page", PUNCH, 0.5, 4096, "EINVAL@fd"],
    ["an unaligned offset", PUNCH, 1, 4096, "EINVAL@fd"],
    ["an unaligned length", PUNCH, 0, 1, "EINVAL@fd"],
    ["no length", PUNCH, 0, 0, "EINVAL@fd"],
    ["a negative offset", PUNCH, -4096, 4096, "EINVAL@fd"],
    ["no number", PUNCH, NaN, 4096, "EINVAL@fd"],
    ["allocate beyond the end", KEEP_SIZE, 15 * 4096, 2 * 4096, "EINVAL@fd"],
    ["punch beyond the end", PUNCH, 15 * 4096, 2 * 4096, "ok"],
  ])("%s", (_name, mode, offset, sizeBytes, expected) => {
    const { vm, gmem } = world();
    expect(refusal(() => vm.run(gmem.fallocate(mode, offset, sizeBytes)))).toBe(expected);
  });

  it("allocates pages, dirty until somebody gets them", () => {
    const { vm, gmem, get } = world();
    vm.run(gmem.fallocate(KEEP_SIZE, 0, 16 * PAGE_SIZE));
    expect([gmem.allocatedPages, vm.host.live, vm.host.log]).toEqual([16, 16, []]);
    get(0x100);
    expect(vm.host.log).toEqual(["zero 104", "private 104"]);
  });

  it("ENOMEM part of the way: what was made stays, as in Linux", () => {
    const { vm, gmem } = world(0n, { pages: 3 });
    expect(errnoOf(() => vm.run(gmem.fallocate(KEEP_SIZE, 0, 16 * PAGE_SIZE)))).toBe("ENOMEM");
    expect(gmem.allocatedPages).toBe(3);
  });

  it("a hole: zapped where a slot has it, then the pages go; the next one there is new and zeroed", () => {
    const { vm, gmem, get } = world();
    for (const gfn of [0x100, 0x101, 0x107]) get(gfn).put();
    vm.run(gmem.fallocate(PUNCH, 0, 6 * PAGE_SIZE));
    expect(vm.log).toEqual(["zap private 100..102"]);
    expect([gmem.allocatedPages, vm.host.live]).toEqual([1, 1]);
    const before = vm.host.log.length;
    get(0x100);
    expect(vm.host.log.slice(before)).toEqual(["zero 103", "private 103"]);
  });

  it("a page that somebody holds goes when it is put, once", () => {
    const { vm, gmem, get } = world();
    const page = get(0x100);
    vm.run(gmem.fallocate(PUNCH, 0, 16 * PAGE_SIZE));
    expect([gmem.allocatedPages, vm.host.live]).toEqual([0, 1]);
    page.put();
    page.put();
    expect(vm.host.live).toBe(0);
  });

  it.each<[string, bigint, string]>([
    ["a private file", 0n, "private"],
    ["one that begins shared", INIT_SHARED, "both"],
    ["one that shared pages come from", MMAP, "both"],
  ])("%s: a hole zaps %s %s", (_name, flags, view) => {
    const { vm, gmem } = world(flags);
    vm.run(gmem.fallocate(PUNCH, 0x4000, PAGE_SIZE));
    expect(vm.log).toEqual([`zap ${view} 100..101`]);
  });

  it("several slots: each by its own frames", () => {
    const { vm, gmem } = world();
    vm.set(
      gmemRegion({ slot: 1, guestMemfd: 8, guestPhysAddr: 0x20_0000n, guestMemfdOffset: 0xc000n, memorySize: 0x4000n }),
    );
    vm.log.length = 0;
    vm.run(gmem.fallocate(PUNCH, 11 * PAGE_SIZE, 3 * PAGE_SIZE));
    expect(vm.log).toEqual(["zap private 107..108,200..202"]);
  });
});

describe("mmap", () => {
  it.each<[string, bigint, "shared" | "private", string]>([
    ["without MMAP", 0n, "shared", "ENODEV@mmap"],
    ["INIT_SHARED alone", INIT_SHARED, "shared", "ENODEV@mmap"],
    ["without MMAP, before the kind", 0n, "private", "ENODEV@mmap"],
    ["a private mapping", MMAP, "private", "EINVAL@mmap"],
    ["what is no mapping at all", MMAP, "none" as never, "EINVAL@mmap"],
    ["a shared one", MMAP, "shared", "ok"],
  ])("%s", (_name, flags, kind, expected) => {
    expect(refusal(() => world(flags).gmem.mmap(kind))).toBe(expected);
  });

  it("the process has the guest's pages, and SIGBUS beyond the end", () => {
    const { gmem, get } = world(MMAP | INIT_SHARED);
    const mapping = gmem.mmap("shared");
    expect(mapping.fault(0x4010)).toBe(get(0x100).physical + 0x10);
    expect(refusal(() => mapping.fault(16 * PAGE_SIZE))).toBe("EFAULT@mmap");
    expect(refusal(() => mapping.fault(-1))).toBe("EFAULT@mmap");
  });

  it("EHWPOISON where the hardware lost the page", () => {
    const { vm, gmem, get } = world(MMAP | INIT_SHARED);
    const mapping = gmem.mmap("shared");
    get(0x100).put();
    vm.run(gmem.memoryFailure(0x4000));
    expect(refusal(() => mapping.fault(0x4000))).toBe("EHWPOISON@mmap");
  });

  it("nothing where it was unmapped: a file that is gone gets no pages any more", () => {
    const { vm, gmem } = world(MMAP | INIT_SHARED);
    const mapping = gmem.mmap("shared");
    vm.run(gmem.close());
    vm.run(mapping.munmap());
    expect(refusal(() => mapping.fault(0))).toBe("EFAULT@mmap");
    expect([gmem.allocatedPages, vm.host.live]).toEqual([0, 0]);
  });

  it("SIGBUS on what begins private", () => {
    expect(refusal(() => world(MMAP).gmem.mmap("shared").fault(0))).toBe("EFAULT@mmap");
  });

  it("holds the file: it ends with the last of fd and mappings, once", () => {
    const { vm, gmem, get } = world(MMAP | INIT_SHARED);
    const mapping = gmem.mmap("shared");
    get(0x100).put();
    vm.run(gmem.close());
    expect(errnoOf(() => get(0x100).put())).toBe("ok");
    vm.run(mapping.munmap());
    expect([gmem.bound, vm.host.live]).toEqual([[], 0]);
    expect(vm.log).toEqual(["zap both 100..108"]);
    vm.run(mapping.munmap());
    expect(vm.log).toHaveLength(1);
  });
});

describe("the end of the file", () => {
  it("EBADF: closed while a slot waited for it", () => {
    const { vm, gmem } = world();
    vm.run(gmem.close());
    expect(refusal(() => vm.set(gmemRegion({ slot: 1, guestMemfd: 8, guestPhysAddr: 0n })))).toBe("EBADF@memslot");
  });

  it("unbinds, zaps what guests have, gives pages and VM back; the slot can still be deleted", () => {
    const { vm, gmem, get } = world();
    get(0x100).put();
    vm.run(gmem.close());
    expect(vm.log).toEqual(["zap private 100..108"]);
    expect([gmem.bound, vm.host.live]).toEqual([[], 0]);
    expect(errnoOf(() => vm.set(regionOf({ memorySize: 0n })))).toBe("ok");
  });

  it("the slot went first: nothing to zap", () => {
    const { vm, gmem } = world();
    vm.set(regionOf({ memorySize: 0n }));
    vm.log.length = 0;
    vm.run(gmem.close());
    expect(vm.log).toEqual([]);
  });

  it.each<[string, (gmem: GuestMemfd, vm: TestVm) => void]>([
    ["close", (gmem, vm) => vm.run(gmem.close())],
    ["fallocate", (gmem, vm) => vm.run(gmem.fallocate(PUNCH, 0, 4096))],
    ["mmap", (gmem) => gmem.mmap("shared")],
  ])("%s afterwards is EBADF", (_name, act) => {
    const { vm, gmem } = world(MMAP);
    vm.run(gmem.close());
    expect(errnoOf(() => act(gmem, vm))).toBe("EBADF");
  });
});

it("pages in the file, held and free: what is out is what the file or a holder has, in every order", () => {
  const action = fc.record({ what: fc.constantFrom("get", "put", "punch", "make", "lose"), page: fc.nat({ max: 7 }) });
  fc.assert(
    fc.property(fc.array(action, { maxLength: 40 }), (actions) => {
      const { vm, gmem, get } = world();
      const held: GmemPage[] = [];
      for (const { what, page } of actions) {
        const at = (4 + page) * PAGE_SIZE;
        if (what === "get" && errnoOf(() => held.push(get(0x100 + page))) === "ENOMEM") throw new Error("unlimited");
        if (what === "put") held.shift()?.put();
        if (what === "punch") vm.run(gmem.fallocate(PUNCH, at, PAGE_SIZE));
        if (what === "make") vm.run(gmem.fallocate(KEEP_SIZE, at, PAGE_SIZE));
        if (what === "lose") vm.run(gmem.memoryFailure(at));
        const orphans = new Set(held.map((p) => p.physical));
        expect(vm.host.live).toBeGreaterThanOrEqual(gmem.allocatedPages);
        expect(vm.host.live).toBeLessThanOrEqual(gmem.allocatedPages + orphans.size);
      }
      for (const page of held) page.put();
      expect(vm.host.live).toBe(gmem.allocatedPages);
      vm.run(gmem.close());
      expect(vm.host.live).toBe(0);
    }),
    { numRuns: 200 },
  );
});
