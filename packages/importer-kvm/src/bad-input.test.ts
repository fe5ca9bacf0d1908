/** Values that no process or guest could give: each is told by name, and nothing is done. */
import { errnoOf } from "@dma-buf/config/refusal";
import type { Gpa } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { checkAttributes } from "./attributes.js";
import { checkCreate } from "./gmem-requests.js";
import { kvmImporter } from "./pfn.js";
import { regionOf } from "./testing/arguments.js";
import { bytes, GPA, PAGE, type Rig, rig } from "./testing/rig.js";

const any = (value: unknown): never => value as never;
const at = (value: unknown): Gpa => value as Gpa;

describe("TypeError or RangeError, with the value and what to give", () => {
  it.each<[string, (r: Rig) => unknown, RegExp]>([
    ["read, NaN bytes", ({ kvm }) => kvm.read(GPA, NaN), /^RangeError: sizeBytes NaN .*whole number/],
    ["read, -1 bytes", ({ kvm }) => kvm.read(GPA, -1), /^RangeError: sizeBytes -1 /],
    ["fetch, half a byte", ({ kvm }) => kvm.fetch(GPA, 0.5), /^RangeError: sizeBytes 0.5 /],
    ["write at NaN", ({ kvm }) => kvm.write(at(NaN), bytes(1)), /^RangeError: gpa NaN /],
    ["read at -1", ({ kvm }) => kvm.read(at(-1), 1), /^RangeError: gpa -1 /],
    ["write of a string", ({ kvm }) => kvm.write(GPA, any("hi")), /^TypeError: bytes .* string: give a Uint8Array/],
    ["write of a number", ({ kvm }) => kvm.write(GPA, any(5)), /^TypeError: bytes .* number/],
    ["a view", ({ kvm }) => kvm.read(GPA, 1, { view: any("both") }), /^TypeError: view both .*private or shared/],
    ["version 3", (r) => r.run(r.kvm.setUserMemoryRegion(regionOf(), any(3))), /^RangeError: version 3 .* 1 and 2/],
    ["options null", ({ fw, vm }) => kvmImporter(any(null))(fw, vm), /^TypeError: options is null: /],
    ["framework null", ({ vm }) => kvmImporter()(any(null), vm), /^TypeError: framework is null: /],
    ["host null", ({ fw }) => kvmImporter()(fw, any(null)), /^TypeError: host is null: give a KvmHost/],
    [
      "a slot over no buffer",
      (r) => r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: PAGE, buf: any(null), offset: 0 })),
      /^TypeError: buf is null: give the DmaBuf/,
    ],
    ["a fd of no buffer", ({ kvm }) => kvm.files.installBuffer(any(null)), /^TypeError: buf is null: /],
    [
      "a mapping of no buffer",
      (r) => r.run(r.kvm.process.mapBuffer(PAGE, any(null), 0, PAGE)),
      /^TypeError: buf is null: /,
    ],
  ])("%s", (_name, act, expected) => {
    const r = rig("pfn");
    let error: unknown = null;
    try {
      act(r);
    } catch (thrown) {
      error = thrown;
    }
    expect(String(error)).toMatch(expected);
    expect(r.kvm.files.get(3)).toBeNull();
  });
});

/** What a refusal says. */
function said(act: () => unknown): string {
  let message = "";
  const code = errnoOf(() => {
    try {
      act();
    } catch (error) {
      message = (error as Error).message;
      throw error;
    }
  });
  return `${code} ${message}`;
}

it.each<[string, (r: Rig) => unknown]>([
  ["guestPhysAddr", (r) => r.run(r.kvm.setUserMemoryRegion(regionOf({ guestPhysAddr: any(5) })))],
  ["memorySize", (r) => r.run(r.kvm.setUserMemoryRegion(regionOf({ memorySize: any(5) })))],
  ["userspaceAddr", (r) => r.run(r.kvm.setUserMemoryRegion(regionOf({ userspaceAddr: any(5) })))],
  ["guestMemfdOffset", (r) => r.run(r.kvm.setUserMemoryRegion(regionOf({ guestMemfdOffset: any(5) })))],
  ["flags", (r) => r.run(r.kvm.preFaultMemory({ gpa: 0n, size: 4096n, flags: any(5) }))],
  ["gpa", (r) => r.run(r.kvm.preFaultMemory({ gpa: any(5), size: 4096n, flags: 0n }))],
  [
    "flags",
    () => checkAttributes({ address: 0n, size: 4096n, attributes: 0n, flags: any(5) }, { privateMemory: true }),
  ],
  ["size", () => checkCreate({ size: any(5), flags: 0n }, false)],
  ["flags", () => checkCreate({ size: 4096n, flags: any(5) }, false)],
])("EINVAL: %s is a number where a bigint belongs", (field, act) => {
  expect(said(() => act(rig("pfn")))).toMatch(new RegExp(`^EINVAL .*: ${field} 5 is a number: give a bigint$`));
});

it.each([
  [{ sizeBytes: 0 }, /sizeBytes 0 is no slot: .*removeMemslot/],
  [{ offset: 1 }, /: offset 1 is no page/],
  [{ offset: -PAGE }, /: offset -4096 is no page/],
  [{ offset: 2 ** 64 }, /: offset 18446744073709552000 is no page/],
])("setMemslot speaks of its own fields: %o", (change, expected) => {
  for (const id of ["pfn", "vma"] as const) {
    const r = rig(id);
    const slot = { gpa: GPA, sizeBytes: PAGE, buf: r.export(PAGE), offset: 0, ...change };
    expect(said(() => r.run(r.kvm.setMemslot(slot)))).toMatch(expected);
  }
});

it("a slot that is refused keeps no id", () => {
  const r = rig("pfn");
  const slot = { gpa: GPA, sizeBytes: PAGE, buf: r.export(PAGE), offset: 0 };
  for (const gpa of [GPA + 1, GPA + 2]) errnoOf(() => r.run(r.kvm.setMemslot({ ...slot, gpa: at(gpa) })));
  expect(r.run(r.kvm.setMemslot(slot))).toBe(0);
});

it("a slot that is being made keeps its id from others", () => {
  const r = rig("pfn");
  const make = (page: number) =>
    r.kvm.setMemslot({ gpa: at(GPA + page * PAGE), sizeBytes: PAGE, buf: r.export(PAGE, page * PAGE), offset: 0 });
  const first = make(0);
  first.next();
  const second = r.scheduler.spawn("second", make(1));
  const rest = r.scheduler.spawn("first", first);
  r.scheduler.run();
  expect([rest.result, second.result]).toEqual([0, 1]);
});
