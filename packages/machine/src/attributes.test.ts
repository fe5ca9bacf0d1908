import { addr, type Gpa, type PhysAddr } from "@dma-buf/core";
import { MEMORY_TYPES, type MemoryType, npt } from "@dma-buf/page-table";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { consequenceOf, effectiveEptType, effectiveNptType } from "./attributes.js";
import { Cpu } from "./cpu.js";
import { type GuestOptions, GuestVm } from "./guest.js";
import { BAR, RAM, rig } from "./testing.js";

const type = fc.constantFrom(...MEMORY_TYPES);

describe("EPT and the guest's PAT", () => {
  it.each<[MemoryType, MemoryType, MemoryType]>([
    ["uc", "wc", "wc"],
    ["uc", "wb", "uc"],
    ["uc", "uc", "uc"],
    ["wb", "wc", "wc"],
    ["wb", "uc", "uc"],
    ["wc", "wb", "wc"],
    ["wc", "uc", "uc"],
    ["wt", "wp", "uc"],
  ])("%s leaf, %s guest: %s", (leaf, guest, expected) => expect(effectiveEptType(leaf, guest)).toBe(expected));

  it("laws: write-back leaves the choice to the guest, and ignoring the PAT leaves none", () => {
    fc.assert(
      fc.property(type, type, (leaf, guest) => {
        expect(effectiveEptType("wb", guest)).toBe(guest);
        expect(effectiveEptType(leaf, guest, true)).toBe(leaf);
      }),
    );
  });
});

it.each<[MemoryType, MemoryType, MemoryType]>([
  ["uc", "wb", "uc"],
  ["uc", "wc", "wc"],
  ["wb", "wb", "wb"],
  ["wb", "uc", "uc"],
])("NPT, %s MTRR, %s guest: %s", (mtrr, guest, expected) => expect(effectiveNptType(mtrr, guest)).toBe(expected));

describe("what comes of a mismatch", () => {
  it.each<[MemoryType, MemoryType, RegExp | null]>([
    ["uc", "uc", null],
    ["wc", "uc", null],
    ["wb", "wb", null],
    ["uc", "wb", /written back late/],
    ["wc", "wb", /written back late/],
    ["uc", "wc", /gathered/],
    ["wb", "uc", /past the caches/],
  ])("owner %s, mapped %s", (owner, mapped, expected) => {
    const consequence = consequenceOf(owner, mapped);
    if (expected) expect(consequence).toMatch(expected);
    else expect(consequence).toBeNull();
  });
});

it("RAM is write-back, the prefetchable BAR write-combining, a range what its owner says", () => {
  const { machine } = rig();
  const { attributes } = machine;
  expect([attributes.ownerOf(RAM), attributes.ownerOf(BAR), attributes.ownerOf(0x70_0000_0000)]).toEqual([
    "wb",
    "wc",
    null,
  ]);
  attributes.declare({ base: BAR, sizeBytes: 4096, type: "wb" });
  expect([attributes.ownerOf(BAR), attributes.ownerOf(BAR + 4096)]).toEqual(["wb", "wc"]);
});

it("a CPU's mapping is booked when it is made", () => {
  const { machine } = rig();
  new Cpu(machine, "CPU 0").map(0x1000, BAR, 8192, { cache: "wb" });
  expect(machine.attributes.records).toMatchObject([
    { by: "CPU 0", physical: BAR, sizeBytes: 8192, owner: "wc", mapped: "wb", consequence: /speculatively/ },
  ]);
});

it("the last declaration of an address holds", () => {
  const { attributes } = rig().machine;
  for (const as of ["wb", "uc"] as const) attributes.declare({ base: BAR, sizeBytes: 4096, type: as });
  expect(attributes.ownerOf(BAR)).toBe("uc");
});

it("a mapping over several owners is booked part by part, and what follows the like is one part", () => {
  const { machine } = rig();
  const { attributes } = machine;
  attributes.declare({ base: BAR + 4096, sizeBytes: 4096, type: "wb" });
  attributes.declare({ base: BAR + 12_288, sizeBytes: 4096, type: "wc" });
  new Cpu(machine, "CPU 0").map(0x1000, BAR, 16_384, { cache: "uc" });
  expect(attributes.records).toMatchObject([
    { physical: BAR, sizeBytes: 4096, owner: "wc", consequence: null },
    { physical: BAR + 4096, sizeBytes: 4096, owner: "wb", consequence: /past the caches/ },
    { physical: BAR + 8192, sizeBytes: 8192, owner: "wc", consequence: null },
  ]);
});

it.each<[string, GuestOptions, MemoryType]>([
  ["EPT, guest write-back", {}, "uc"],
  ["EPT, guest write-combining", { guestType: "wc" }, "wc"],
  ["NPT, guest write-back", { format: npt }, "uc"],
  ["NPT, guest write-combining", { format: npt, guestType: "wc" }, "wc"],
])("%s: what a vCPU maps is booked when it caches it, once", (_name, options, mapped) => {
  const { machine, run } = rig();
  const vm = new GuestVm(machine, "guest", false, options);
  vm.table.map(0x1000, BAR, 4096, { read: true, write: true, cache: "uc" });
  vm.table.map(0x2000, addr<PhysAddr>(RAM), 4096, { read: true, write: true, cache: "wb" });
  for (let i = 0; i < 2; i++) run(vm.read(addr<Gpa>(0x1000), 8));
  expect(machine.attributes.records).toMatchObject([{ by: "guest", owner: "wc", mapped, consequence: null }]);
});
