/** Devices that a VM trusts: who stops them before their memory goes, and whose private frames are served. */
import { refusal } from "@dma-buf/config/refusal";
import { type Op, point } from "@dma-buf/core";
import { expect, it } from "vitest";
import {
  bytes,
  GIB,
  GPA,
  leavesOf,
  PAGE,
  type Rig,
  rig,
  type RigOptions,
  SERVING,
  type VariantId,
} from "./testing/rig.js";
import { KVM_MEMORY_ATTRIBUTE } from "./uapi.js";

/** A BAR as private memory, in use; `seen`: how many leaves there were at each stop. */
function running(id: VariantId, options: RigOptions = {}) {
  const seen: number[] = [];
  const trustedIo = {
    *stop(): Op<void> {
      yield* point("tdi.stop");
      seen.push(Object.keys(leavesOf(r)).length);
    },
  };
  const r: Rig = rig(id, { privateMemory: true, trustedIo, ...options });
  const buf = r.export();
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 }));
  convert(r, KVM_MEMORY_ATTRIBUTE.PRIVATE);
  r.run(r.kvm.write(GPA, bytes(1)));
  return { r, seen };
}

function convert(r: Rig, attributes: bigint, size = GIB): void {
  r.run(r.kvm.setMemoryAttributes({ address: BigInt(GPA), size: BigInt(size), attributes, flags: 0n }));
}

it.each(SERVING)("%s: the host takes the memory away, and the device stops while it is still mapped", (id) => {
  const { r, seen } = running(id);
  r.run(r.exporter.revoke());
  expect([seen, leavesOf(r)]).toEqual([[1], {}]);
});

it.each(["pfn", "vma"] as const)("%s, as posted: nobody stops it", (id) => {
  const { r, seen } = running(id, { kvm: { asPosted: true } });
  r.run(r.exporter.revoke());
  expect([seen, leavesOf(r)]).toEqual([[], {}]);
});

it("a guest that shares a part itself stops nothing, nor does the end of shared memory", () => {
  const { r, seen } = running("pfn");
  convert(r, 0n, PAGE);
  convert(r, 0n);
  r.run(r.kvm.write(GPA, bytes(2)));
  r.run(r.exporter.revoke());
  expect(seen).toEqual([]);
});

it("without trusted I/O a mapping has no private frames", () => {
  const r = rig("vma", { privateMemory: true });
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf: r.export(), offset: 0 }));
  convert(r, KVM_MEMORY_ATTRIBUTE.PRIVATE);
  expect(refusal(() => r.run(r.kvm.read(GPA, 8)))).toBe("EFAULT@vcpu-run");
});

it("annotated-address: memory that is said to be one VM's is for that VM's private frames", () => {
  const make = (): Rig => rig("annotated-address", { privateMemory: true, vfio: { tagsOwner: true } });
  const owned = (r: Rig, owner: object): Rig => {
    const buf = r.export();
    r.run(r.exporter.binding.bind(owner));
    r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes: GIB, buf, offset: 0 }));
    return r;
  };
  const own = make();
  owned(own, own.kvm);
  const read = (r: Rig): string => refusal(() => r.run(r.kvm.read(GPA, 8)));
  expect(read(own)).toBe("EIO@vcpu-run");
  convert(own, KVM_MEMORY_ATTRIBUTE.PRIVATE);
  expect(read(own)).toBe("ok");
  const other = owned(make(), {});
  convert(other, KVM_MEMORY_ATTRIBUTE.PRIVATE);
  expect(read(other)).toBe("EIO@vcpu-run");
});
