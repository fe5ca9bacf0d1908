/** Rows 2 to 9 and 17 of the order in which `KVM_SET_USER_MEMORY_REGION2` looks, each by its own, and their order. */
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { checkArch, checkRegion, type RegionRules } from "./region.js";
import { dmaBufRegion, gmemRegion, regionOf } from "./testing/arguments.js";
import { KVM_MEM, type UserMemoryRegion } from "./uapi.js";

const ORDINARY: RegionRules = { privateMemory: false };
const PRIVATE: RegionRules = { privateMemory: true };
const POSTED: RegionRules = { privateMemory: true, asPosted: true };
const { LOG_DIRTY_PAGES, READONLY, GUEST_MEMFD, VFIO_DMABUF, GMEM_ONLY } = KVM_MEM;

const answer = (region: UserMemoryRegion, rules: RegionRules, version: 1 | 2 = 2): string =>
  refusal(() => checkRegion(region, version, rules));

describe("row by row", () => {
  const GOOD = "ok";
  const BAD = "EINVAL@memslot";
  it.each<[string, UserMemoryRegion, string, RegionRules?, (1 | 2)?]>([
    ["an ordinary region", regionOf(), GOOD],
    ["a guest_memfd", gmemRegion(), GOOD],
    ["a dma-buf", dmaBufRegion(), GOOD],
    ["a slot below 0", regionOf({ slot: -1 }), BAD],
    ["a slot of 33 bits", regionOf({ slot: 2 ** 32 }), BAD],
    ["a slot that is no number", regionOf({ slot: NaN }), BAD],
    ["half a slot", regionOf({ slot: 0.5 }), BAD],
    ["flags of 33 bits", regionOf({ flags: 2 ** 32 }), BAD],
    ["flags that are no number", regionOf({ flags: NaN }), BAD],
    ["a fd below 0", gmemRegion({ guestMemfd: -1 }), BAD],
    ["guest_phys_addr below 0", regionOf({ guestPhysAddr: -4096n }), BAD],
    ["guest_phys_addr of 65 bits", regionOf({ guestPhysAddr: 2n ** 64n, memorySize: 0n }), BAD],
    ["memory_size below 0", regionOf({ memorySize: -4096n }), BAD],
    ["userspace_addr below 0", regionOf({ userspaceAddr: -0x10_0000n }), BAD],
    ["guest_memfd_offset below 0", gmemRegion({ guestMemfdOffset: -4096n }), BAD],
    ["guest_memfd_offset below 0, without a fd", regionOf({ guestMemfdOffset: -4096n }), BAD],
    ["2: the older ioctl has no fd", gmemRegion(), BAD, ORDINARY, 1],
    ["2: the older ioctl and an unknown flag", regionOf({ flags: 0x100 }), BAD, ORDINARY, 1],
    ["2: the older ioctl logs and protects", regionOf({ flags: LOG_DIRTY_PAGES | READONLY }), GOOD, ORDINARY, 1],
    ["3: the first id that is not userspace's", regionOf({ slot: 32_764 }), BAD],
    ["3: the last id that is", regionOf({ slot: 32_763 }), GOOD],
    ["3: the largest id", regionOf({ slot: 0xffff }), BAD],
    ["4: a flag that is none", regionOf({ flags: 16 }), BAD],
    ["4: a flag that is KVM's own", regionOf({ flags: GMEM_ONLY }), BAD],
    ["4: bit 31", regionOf({ flags: 2 ** 31 }), BAD],
    ["4: guest_memfd and a log of dirty pages", gmemRegion({ flags: GUEST_MEMFD | LOG_DIRTY_PAGES }), BAD],
    ["4: guest_memfd and read-only", gmemRegion({ flags: GUEST_MEMFD | READONLY }), BAD],
    ["4: read-only in a VM with private memory alone", regionOf({ flags: READONLY }), GOOD, PRIVATE],
    ["4: guest_memfd and dma-buf", dmaBufRegion({ flags: VFIO_DMABUF | GUEST_MEMFD }), BAD],
    ["4: dma-buf and a log of dirty pages", dmaBufRegion({ flags: VFIO_DMABUF | LOG_DIRTY_PAGES }), BAD],
    ["4: dma-buf and read-only", dmaBufRegion({ flags: VFIO_DMABUF | READONLY }), GOOD],
    ["4: as posted, dma-buf and read-only", dmaBufRegion({ flags: VFIO_DMABUF | READONLY }), BAD, POSTED],
    ["4: as posted, an ordinary VM", dmaBufRegion(), BAD, { ...POSTED, privateMemory: false }],
    ["4: as posted, a VM with private memory", dmaBufRegion(), GOOD, POSTED],
    ["5: memory_size unaligned", regionOf({ memorySize: 0x1_0001n }), BAD],
    ["5: guest_phys_addr unaligned", regionOf({ guestPhysAddr: 0x10_0800n }), BAD],
    ["5: userspace_addr unaligned", regionOf({ userspaceAddr: 1n }), BAD],
    ["5: userspace_addr 0", regionOf({ userspaceAddr: 0n }), GOOD],
    ["5: the last pages of a process", regionOf({ userspaceAddr: 0x7fff_fffe_f000n }), GOOD],
    ["5: a page beyond them", regionOf({ userspaceAddr: 0x7fff_ffff_0000n }), BAD],
    ["5: the kernel's half", regionOf({ userspaceAddr: 0xffff_8000_0000_0000n }), BAD],
    ["5: a tagged address", regionOf({ userspaceAddr: 0x4000_0000_0400_0000n }), BAD],
    ["6: guest_memfd_offset unaligned", gmemRegion({ guestMemfdOffset: 1n }), BAD],
    ["6: guest_memfd_offset wraps", gmemRegion({ guestMemfdOffset: 2n ** 64n - 0x1_0000n }), BAD],
    ["6: of a dma-buf too", dmaBufRegion({ guestMemfdOffset: 2n ** 64n - 0x1_0000n }), BAD],
    ["6: not looked at without a fd", regionOf({ guestMemfdOffset: 1n }), GOOD],
    ["7: system management mode", regionOf({ slot: 0x1_0000 }), GOOD],
    ["7: not in one with private memory", regionOf({ slot: 0x1_0000 }), BAD, PRIVATE],
    ["7: a third address space", regionOf({ slot: 0x2_0000 }), BAD],
    ["7: the last", regionOf({ slot: 0xffff_0000 }), BAD],
    ["8: ends at 2^64", regionOf({ guestPhysAddr: 2n ** 64n - 0x1_0000n }), BAD],
    ["8: a page before that", regionOf({ guestPhysAddr: 2n ** 64n - 0x1_1000n }), GOOD],
    ["9: 2^31 pages", regionOf({ memorySize: 2n ** 43n, userspaceAddr: 0n }), BAD],
    ["9: one less", regionOf({ memorySize: 2n ** 43n - 4096n, userspaceAddr: 0n }), GOOD],
    ["9: one less, over a guest_memfd", gmemRegion({ memorySize: 2n ** 43n - 4096n, userspaceAddr: 0n }), GOOD],
  ])("%s", (_name, region, expected, rules = ORDINARY, version = 2) => {
    expect(answer(region, rules, version)).toBe(expected);
  });
});

it("numbers are exact, however large they were", () => {
  const region = gmemRegion({
    slot: 0x1_0007,
    guestPhysAddr: 2n ** 64n - 0x2_0000n,
    guestMemfdOffset: 2n ** 63n + 4096n,
  });
  expect(checkRegion(region, 2, ORDINARY)).toEqual({
    id: 7,
    addressSpace: 1,
    flags: GUEST_MEMFD,
    gfn: 2 ** 52 - 32,
    pages: 16,
    hva: 0x400_0000,
    offsetPages: 2 ** 51 + 1,
    fd: 5,
  });
});

it.each<[string, Partial<UserMemoryRegion>, RegExp]>([
  ["3 before 4", { slot: 0xffff, flags: 16 }, /not userspace's/],
  ["4 before 5", { flags: 16, memorySize: 1n }, /no flag/],
  ["5: size before address", { memorySize: 1n, guestPhysAddr: 1n }, /memory_size/],
  ["5: address before userspace address", { guestPhysAddr: 1n, userspaceAddr: 1n }, /guest_phys_addr/],
  ["5 before 6", { flags: GUEST_MEMFD, userspaceAddr: 2n ** 63n, guestMemfdOffset: 1n }, /no range of a process/],
  ["6 before 7", { flags: GUEST_MEMFD, guestMemfdOffset: 1n, slot: 0x2_0000 }, /guest_memfd_offset/],
  ["7 before 8", { slot: 0x2_0000, guestPhysAddr: 2n ** 64n - 4096n }, /address space 2/],
  ["8 before 9", { guestPhysAddr: 2n ** 64n - 4096n, memorySize: 2n ** 43n, userspaceAddr: 0n }, /wraps/],
])("the order: %s", (_name, change, message) => {
  expect(() => checkRegion(regionOf(change), 2, ORDINARY)).toThrow(message);
});

describe("row 17, the architecture", () => {
  const at = (end: bigint) => checkRegion(regionOf({ guestPhysAddr: end - 0x1_0000n }), 2, ORDINARY);
  it.each<[string, bigint, RegionRules, string]>([
    ["up to the last of 52 bits", 2n ** 52n, ORDINARY, "ok"],
    ["a page further", 2n ** 52n + 4096n, ORDINARY, "EINVAL@memslot"],
    ["up to the last of 39 bits", 2n ** 39n, { ...ORDINARY, guestPhysBits: 39 }, "ok"],
    ["a page further", 2n ** 39n + 4096n, { ...ORDINARY, guestPhysBits: 39 }, "EINVAL@memslot"],
  ])("%s", (_name, end, rules, expected) => {
    expect(refusal(() => checkArch(at(end), rules))).toBe(expected);
  });
});
