/** Devices that a VM trusts: who stops them before their memory goes, and whose private frames are served. */
import { refusal } from "@dma-buf/config/refusal";
import { explore, type Op, point, until } from "@dma-buf/core";
import { expect, it } from "vitest";
import {
  bytes,
  GIB,
  GPA,
  gpaAt,
  leavesOf,
  PAGE,
  type Rig,
  rig,
  type RigOptions,
  SERVING,
  type VariantId,
} from "./testing/rig.js";
import { KVM_MEMORY_ATTRIBUTE } from "./uapi.js";

/** A BAR as private memory; `seen`: how many leaves there were at each stop. */
function idle(id: VariantId, options: RigOptions = {}, sizeBytes = GIB) {
  const seen: number[] = [];
  const trustedIo = {
    *stop(): Op<void> {
      yield* point("tdi.stop");
      seen.push(Object.keys(leavesOf(r)).length);
    },
  };
  const r: Rig = rig(id, { privateMemory: true, trustedIo, ...options });
  const buf = r.export(sizeBytes);
  r.run(r.kvm.setMemslot({ gpa: GPA, sizeBytes, buf, offset: 0 }));
  convert(r, KVM_MEMORY_ATTRIBUTE.PRIVATE, sizeBytes);
  return { r, seen };
}

/** The same, in use. */
function running(id: VariantId, options: RigOptions = {}) {
  const world = idle(id, options);
  world.r.run(world.r.kvm.write(GPA, bytes(1)));
  return world;
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

// Under the other two the reservation keeps a vCPU from finding a frame meanwhile.
it.each(["vma", "pfn"] as const)(
  "%s: in every order, what a vCPU has installed goes after the device has stopped",
  (id) => {
    const found = explore(
      (scheduler) => {
        const { r, seen } = idle(id, { framework: { scheduler, trace: false } }, PAGE);
        const vcpu = scheduler.spawn("vCPU", r.kvm.write(GPA, bytes(1)));
        scheduler.spawn("revoke", r.exporter.revoke());
        const { kind } = scheduler.run();
        const hadLeaf = vcpu.state === "done";
        return [kind, hadLeaf && seen.length === 0 ? "zapped and not stopped" : "", ...Object.keys(leavesOf(r))].join(
          " ",
        );
      },
      { badness: (wrong) => Number(wrong !== "done ") },
    );
    expect([found.kind, found.worst.result]).toEqual(["exhausted", "done "]);
  },
);

it("while the device stops, no vCPU installs another of the frames", () => {
  const ends: (string | number)[] = [];
  const stop = function* (): Op<void> {
    const vcpu = r.scheduler.spawn("vCPU", r.kvm.write(gpaAt(PAGE), bytes(2)));
    yield* until("tdi.stop", () => vcpu.state === "done" || vcpu.wait?.site === "kvm.retry");
    ends.push(vcpu.wait?.site ?? "installed", [...r.vm.table.leaves()].length);
  };
  const { r } = idle("pfn", { trustedIo: { stop } }, 2 * PAGE);
  r.run(r.kvm.write(GPA, bytes(1)));
  r.run(r.exporter.revoke());
  expect(ends).toEqual(["kvm.retry", 1]);
});

it("a task that is ended while the device stops leaves no invalidate in progress", () => {
  const { r } = idle("pfn", { trustedIo: { stop: () => until("tdi.stop", () => false) } }, 2 * PAGE);
  r.run(r.kvm.write(GPA, bytes(1)));
  r.scheduler.spawn("revoke", r.exporter.revoke());
  expect([r.scheduler.run().kind, leavesOf(r)]).toEqual(["deadlock", { 4: 1 }]);
  expect(refusal(() => r.run(r.kvm.write(gpaAt(PAGE), bytes(2))))).toBe("EIO@vcpu-run");
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
