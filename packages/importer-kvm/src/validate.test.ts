/** Rows 10 to 17 of the order of checks, on a set of slots; what a refusal leaves behind: nothing. */
import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import type { RegionRules } from "./region.js";
import { dmaBufRegion, gmemRegion, regionOf } from "./testing/arguments.js";
import { TestVm } from "./testing/slot-world.js";
import { KVM_MEM, type UserMemoryRegion } from "./uapi.js";
import { checkDmaBuf } from "./validate.js";

const { LOG_DIRTY_PAGES, READONLY } = KVM_MEM;
const DELETE = { memorySize: 0n };

/** What the VM answers, after `before`; after a refusal it is as it was. */
function answer(before: readonly UserMemoryRegion[], region: UserMemoryRegion, vm: TestVm = new TestVm()): string {
  for (const one of before) vm.set(one);
  const state = vm.state;
  const said = refusal(() => vm.set(region));
  if (said !== "ok") expect(vm.state).toEqual(state);
  return said;
}

describe("row by row", () => {
  const slot0 = regionOf();
  it.each<[string, UserMemoryRegion[], UserMemoryRegion, string]>([
    ["create", [], slot0, "ok"],
    ["10: delete one that is not there", [], regionOf(DELETE), "EINVAL@memslot"],
    [
      "10: delete one that is in the other address space",
      [slot0],
      regionOf({ ...DELETE, slot: 0x1_0000 }),
      "EINVAL@memslot",
    ],
    ["10: delete it twice", [slot0, regionOf(DELETE)], regionOf(DELETE), "EINVAL@memslot"],
    [
      "delete: whatever else the request says",
      [slot0],
      regionOf({ ...DELETE, guestPhysAddr: 0n, userspaceAddr: 0n }),
      "ok",
    ],
    ["delete one over a guest_memfd", [gmemRegion()], regionOf(DELETE), "ok"],
    ["delete one over a dma-buf", [dmaBufRegion()], regionOf(DELETE), "ok"],
    ["11: the same guest_memfd again", [gmemRegion()], gmemRegion(), "EINVAL@memslot"],
    ["11: the same dma-buf again", [dmaBufRegion()], dmaBufRegion(), "EINVAL@memslot"],
    ["11: move one over a guest_memfd", [gmemRegion()], gmemRegion({ guestPhysAddr: 0n }), "EINVAL@memslot"],
    ["12: another userspace_addr", [slot0], regionOf({ userspaceAddr: 0n }), "EINVAL@memslot"],
    ["12: larger", [slot0], regionOf({ memorySize: 0x1_1000n }), "EINVAL@memslot"],
    ["12: smaller", [slot0], regionOf({ memorySize: 0x1000n }), "EINVAL@memslot"],
    ["12: READONLY on", [slot0], regionOf({ flags: READONLY }), "EINVAL@memslot"],
    ["12: READONLY off", [regionOf({ flags: READONLY })], slot0, "EINVAL@memslot"],
    ["12: guest_memfd on", [slot0], gmemRegion(), "EINVAL@memslot"],
    ["12: guest_memfd off", [gmemRegion()], slot0, "EINVAL@memslot"],
    ["12: dma-buf off", [dmaBufRegion()], slot0, "EINVAL@memslot"],
    ["13: move", [slot0], regionOf({ guestPhysAddr: 0n }), "ok"],
    ["13: move by a page, over where it was", [slot0], regionOf({ guestPhysAddr: 0x10_1000n }), "ok"],
    ["13: log dirty pages", [slot0], regionOf({ flags: LOG_DIRTY_PAGES }), "ok"],
    ["13: the same again", [slot0], slot0, "ok"],
    ["14: overlap", [slot0], regionOf({ slot: 1, guestPhysAddr: 0x10_f000n }), "EEXIST@memslot"],
    ["14: overlap by the first page", [slot0], regionOf({ slot: 1, guestPhysAddr: 0xf_1000n }), "EEXIST@memslot"],
    ["14: beside it", [slot0], regionOf({ slot: 1, guestPhysAddr: 0x11_0000n }), "ok"],
    ["14: below it", [slot0], regionOf({ slot: 1, guestPhysAddr: 0xf_0000n }), "ok"],
    ["14: there, in the other address space", [slot0], regionOf({ slot: 0x1_0000 }), "ok"],
    [
      "14: move onto another",
      [slot0, regionOf({ slot: 1, guestPhysAddr: 0n })],
      regionOf({ guestPhysAddr: 0n }),
      "EEXIST@memslot",
    ],
    ["16: no such fd", [], gmemRegion({ guestMemfd: 99 }), "EBADF@memslot"],
    ["16: fd -1", [], gmemRegion({ guestMemfd: 2 ** 32 - 1 }), "EBADF@memslot"],
    ["16: the fd of a dma-buf", [], gmemRegion({ guestMemfd: 6 }), "EINVAL@memslot"],
    ["16: another fd", [], gmemRegion({ guestMemfd: 7 }), "EINVAL@memslot"],
    ["16: a dma-buf: no such fd", [], dmaBufRegion({ guestMemfd: 99 }), "EBADF@memslot"],
    ["16: a dma-buf: the fd of a guest_memfd", [], dmaBufRegion({ guestMemfd: 5 }), "EINVAL@memslot"],
    ["16: a page beyond the guest_memfd", [], gmemRegion({ guestMemfdOffset: 4096n }), "EINVAL@memslot"],
    ["16: far beyond it", [], gmemRegion({ guestMemfdOffset: 2n ** 63n }), "EINVAL@memslot"],
    ["16: a page beyond the dma-buf", [], dmaBufRegion({ guestMemfdOffset: 4096n }), "EINVAL@memslot"],
    ["16: far beyond it", [], dmaBufRegion({ guestMemfdOffset: 2n ** 63n }), "EINVAL@memslot"],
    [
      "16: the same pages in a second slot",
      [gmemRegion()],
      gmemRegion({ slot: 1, guestPhysAddr: 0n }),
      "EEXIST@memslot",
    ],
    ["16: a buffer in a second slot", [dmaBufRegion()], dmaBufRegion({ slot: 1, guestPhysAddr: 0n }), "ok"],
    ["17: beyond 52 bits", [], regionOf({ guestPhysAddr: 2n ** 52n }), "EINVAL@memslot"],
    ["17: a move beyond 52 bits", [slot0], regionOf({ guestPhysAddr: 2n ** 52n }), "EINVAL@memslot"],
    ["17: a guest_memfd beyond 52 bits", [], gmemRegion({ guestPhysAddr: 2n ** 63n }), "EINVAL@memslot"],
  ])("%s", (_name, before, region, expected) => {
    expect(answer(before, region)).toBe(expected);
  });

  it("15: no memory for the slot, to create, move or change it; a deletion needs none", () => {
    const asks = (fails: "alloc" | undefined, region: UserMemoryRegion): string => {
      const vm = new TestVm();
      vm.set(regionOf());
      vm.fails = fails;
      return answer([], region, vm);
    };
    const changes = [{ slot: 1, guestPhysAddr: 0n }, { guestPhysAddr: 0n }, { flags: LOG_DIRTY_PAGES }, {}, DELETE];
    expect(changes.map((change) => asks("alloc", regionOf(change)))).toEqual([
      "ENOMEM@memslot",
      "ENOMEM@memslot",
      "ENOMEM@memslot",
      "ok",
      "ok",
    ]);
  });

  it("16: another VM's guest_memfd", () => {
    const vm = new TestVm();
    vm.files.set(8, { kind: "guest-memfd", gmem: new TestVm().gmem() });
    expect(answer([], gmemRegion({ guestMemfd: 8 }), vm)).toBe("EINVAL@memslot");
  });

  it.each([gmemRegion(), dmaBufRegion()])(
    "16: what is behind the slot refuses: it is not bound (flags $flags)",
    (region) => {
      expect(answer([], region, new TestVm({ fails: "bind" }))).toBe("ENOMEM@memslot");
    },
  );
});

it.each<[string, UserMemoryRegion, string]>([
  ["14 before 15", regionOf({ slot: 1 }), "EEXIST"],
  ["15 before 16", gmemRegion({ slot: 1, guestPhysAddr: 0n, guestMemfd: 99 }), "ENOMEM"],
  ["13 before 15", regionOf(), "ok"],
])("the order: %s", (_name, region, expected) => {
  const vm = new TestVm();
  vm.set(regionOf());
  vm.fails = "alloc";
  expect(errnoOf(() => vm.set(region))).toBe(expected);
});

it("the order: 16, the file's other slots, before 17", () => {
  const far = { slot: 1, guestPhysAddr: 2n ** 63n };
  expect(answer([gmemRegion()], gmemRegion(far))).toBe("EEXIST@memslot");
});

describe("what happens to what the guest has", () => {
  const after = (...regions: UserMemoryRegion[]): readonly string[] => {
    const vm = new TestVm();
    for (const region of regions) vm.set(region);
    return vm.log;
  };
  it("create: bound, nothing to zap", () => {
    expect(after(regionOf())).toEqual(["bind 0"]);
  });
  it("delete: marked, zapped, and only then let go", () => {
    expect(after(regionOf(), regionOf(DELETE))).toEqual(["bind 0", "zap 0 at 100000, marked", "unbind 0"]);
  });
  it("move: marked and zapped where it was; what is behind it stays", () => {
    expect(after(regionOf(), regionOf({ guestPhysAddr: 0n }))).toEqual(["bind 0", "zap 0 at 100000, marked"]);
  });
  it("flags: zapped, with the new flags in place", () => {
    expect(after(regionOf(), regionOf({ flags: LOG_DIRTY_PAGES }))).toEqual(["bind 0", "zap 0 at 100000, flags 1"]);
  });
  it("the same again: nothing, not even the generation", () => {
    const vm = new TestVm();
    vm.set(regionOf());
    const { state } = vm;
    vm.set(regionOf());
    expect(vm.state).toEqual(state);
  });
  it("a slot over a file that can be mapped takes shared pages from it too", () => {
    const vm = new TestVm();
    vm.files.set(8, { kind: "guest-memfd", gmem: vm.gmem(1n) });
    vm.set(gmemRegion({ guestMemfd: 8 }));
    vm.set(gmemRegion({ slot: 1, guestPhysAddr: 0n }));
    const isOnly = (id: number): boolean => ((vm.slots.byId(0, id)?.flags ?? 0) & KVM_MEM.GMEM_ONLY) !== 0;
    expect([isOnly(0), isOnly(1)]).toEqual([true, false]);
  });
});

describe("the dma-buf of a slot", () => {
  const WHOLE = { offset: 0, sizeBytes: 0x1_0000 };
  const POSTED: RegionRules = { privateMemory: true, asPosted: true };
  const check = (part: typeof WHOLE, rules: Partial<RegionRules> = {}): string =>
    errnoOf(() => checkDmaBuf(part, new TestVm().buf(), {}, rules));

  it.each<[string, typeof WHOLE, string, string]>([
    ["the whole buffer", WHOLE, "ok", "ok"],
    ["a slice", { offset: 0x3000, sizeBytes: 0x1000 }, "ok", "EINVAL"],
    ["its first half", { offset: 0, sizeBytes: 0x8000 }, "ok", "EINVAL"],
    ["a page more than it has", { offset: 0, sizeBytes: 0x1_1000 }, "EINVAL", "EINVAL"],
    ["from its end on", { offset: 0x1_0000, sizeBytes: 0x1000 }, "EINVAL", "EINVAL"],
  ])("%s: %s, as posted %s", (_name, part, expected, posted) => {
    expect([check(part), check(part, POSTED)]).toEqual([expected, posted]);
  });

  it("as posted, an offset is refused for what it is, though the size is the buffer's", () => {
    const part = { offset: 0x1000, sizeBytes: 0x1_0000 };
    expect(() => checkDmaBuf(part, new TestVm().buf(), {}, POSTED)).toThrow(/the posted slot is the whole buffer/);
  });

  it.each<[string, boolean, "mine" | "other" | null, string]>([
    ["nobody's", false, null, "ok"],
    ["this VM's", true, "mine", "ok"],
    ["another VM's", true, "other", "EINVAL"],
  ])("a device that is %s", (_name, isPrivate, whose, expected) => {
    const [mine, other] = [{}, {}];
    const kvm = whose === "mine" ? mine : whose === "other" ? other : null;
    const interfaces = new Map([[Symbol.for("vfio_dma_buf_private_kvm"), () => ({ isPrivate, kvm })]]);
    const buf = new TestVm().buf(16, interfaces);
    expect(errnoOf(() => checkDmaBuf(WHOLE, buf, mine, {}))).toBe(expected);
    expect(errnoOf(() => checkDmaBuf(WHOLE, buf, mine, POSTED))).toBe(expected);
  });
});
