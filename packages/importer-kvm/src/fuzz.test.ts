/** Random bytes to every ioctl of a VM that has slots, files and pages: an answer or an errno, and after an errno nothing changed. */
import { refusal } from "@dma-buf/config/refusal";
import fc from "fast-check";
import { expect, it } from "vitest";
import { kvmIoctl } from "./ioctl.js";
import { dmaBufRegion, gmemRegion, regionBytes, regionOf, u64Bytes } from "./testing/arguments.js";
import { bytes, GPA, PAGE, type Rig, rig } from "./testing/rig.js";
import { KVM_IOCTL } from "./uapi.js";

/** Fd 3 a guest_memfd of 16 pages, 4 a dma-buf of 16 pages. */
function world(): Rig {
  const r = rig("pfn", { privateMemory: true, guestPages: 8, framework: { trace: false } });
  r.kvm.createGuestMemfd({ size: BigInt(16 * PAGE), flags: 0n });
  const fd = r.kvm.files.installBuffer(r.export(16 * PAGE));
  r.run(r.kvm.setUserMemoryRegion(dmaBufRegion({ slot: 9, guestPhysAddr: BigInt(GPA), guestMemfd: fd })));
  r.run(r.kvm.write(GPA, bytes(7)));
  return r;
}

/** What a refusal must leave alone: ledgers, the guest's leaves, and what is in them. */
function state(r: Rig): unknown {
  const leaves = [...r.vm.table.leaves()].map((leaf) => [leaf.va, leaf.physical, leaf.sizeBytes]);
  return { machine: r.machine.resources.read(), framework: r.fw.ledger, leaves };
}

/** Around the edges where a check changes its mind, and anything at all. */
const u64 = fc.oneof(
  { weight: 8, arbitrary: fc.nat({ max: 40 }).map((n) => BigInt(n * PAGE)) },
  fc.constantFrom(0n, 1n, 0x800n, 2n ** 43n, 2n ** 47n, 2n ** 52n, 2n ** 63n, 2n ** 64n - 4096n, BigInt(GPA)),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const small = fc.nat({ max: 12 });
const region = fc
  .record({
    make: fc.constantFrom(regionOf, gmemRegion, dmaBufRegion),
    slot: fc.oneof({ weight: 8, arbitrary: small }, fc.constantFrom(32_764, 0xffff, 0x1_0000)),
    guestPhysAddr: u64,
    memorySize: u64,
    userspaceAddr: u64,
    guestMemfdOffset: u64,
    guestMemfd: fc.constantFrom(3, 4, 5, 2 ** 32 - 1),
  })
  .map(({ make, ...fields }) => regionBytes(make(fields)));
const numbers = fc.array(fc.oneof(u64, fc.constantFrom(0n, 8n)), { maxLength: 4 }).map((n) => u64Bytes(n, 64));
const { SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2 } = KVM_IOCTL;
const { SET_MEMORY_ATTRIBUTES, CREATE_GUEST_MEMFD, PRE_FAULT_MEMORY } = KVM_IOCTL;
const call = fc.oneof(
  fc.tuple(fc.constantFrom(SET_USER_MEMORY_REGION, SET_USER_MEMORY_REGION2), region),
  fc.tuple(fc.constantFrom(SET_MEMORY_ATTRIBUTES, CREATE_GUEST_MEMFD, PRE_FAULT_MEMORY), numbers),
  fc.tuple(fc.constantFrom(...Object.values(KVM_IOCTL)), fc.uint8Array({ maxLength: 170 })),
);

it("an answer or an errno, and after an errno nothing changed", () => {
  const said = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(call, { minLength: 10, maxLength: 40 }), (calls) => {
      const r = world();
      for (const [command, user] of calls) {
        const before = state(r);
        const answer = refusal(() => r.run(kvmIoctl(r.kvm, command, user)));
        said.set(answer, (said.get(answer) ?? 0) + 1);
        if (answer !== "ok") expect(state(r)).toEqual(before);
      }
      expect(r.fw.findings).toEqual([]);
      r.run(r.kvm.destroy());
      expect([r.fw.ledger.attachments, [...r.vm.table.leaves()]]).toEqual([0, []]);
      expect(r.machine.resources.read()).toMatchObject({ guestPages: 0, tlbEntries: 0 });
    }),
    // One seed: what was drawn is counted below.
    { numRuns: 30, seed: 1 },
  );
  const seen = ["ok", "EINVAL@memslot", "EEXIST@memslot", "EBADF@memslot", "EFAULT@memslot"].map((answer) => [
    answer,
    (said.get(answer) ?? 0) > 3,
  ]);
  expect(seen.filter(([, isCommon]) => !isCommon)).toEqual([]);
});
