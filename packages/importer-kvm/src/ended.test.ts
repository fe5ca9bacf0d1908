/** A task that is ended in the middle of a call, at every step of it: what it held is given back, and the guest goes on. */
import { errnoOf } from "@dma-buf/config/refusal";
import { addr, EndSignal, type Gpa, type Op } from "@dma-buf/core";
import { expect, it } from "vitest";
import { FALLOC_FL, type GuestMemfd } from "./index.js";
import { dmaBufRegion, gmemRegion, regionOf } from "./testing/arguments.js";
import { bytes, PAGE, RAM, type Rig, rig } from "./testing/rig.js";

const HVA = 0x400_0000;
const AT = 0x10_0000;
const PUNCH = FALLOC_FL.KEEP_SIZE | FALLOC_FL.PUNCH_HOLE;

interface World extends Rig {
  readonly gmem: GuestMemfd;
  readonly fds: { readonly gmem: number; readonly buf: number };
}

/** Slot 0 over a guest_memfd, 1 over a dma-buf, 2 over RAM of the process; the guest has a page of each. */
function world(): World {
  const r = rig("pfn", { privateMemory: true, guestPages: 24 });
  const fds = {
    gmem: r.kvm.createGuestMemfd({ size: BigInt(32 * PAGE), flags: 0n }),
    buf: r.kvm.files.installBuffer(r.export(16 * PAGE)),
  };
  const file = r.kvm.files.get(fds.gmem);
  if (file?.kind !== "guest-memfd") throw new Error("no guest_memfd");
  r.kvm.process.mapRam(HVA, RAM, 16 * PAGE);
  r.run(r.kvm.setUserMemoryRegion(gmemRegion({ guestMemfd: fds.gmem })));
  r.run(r.kvm.setUserMemoryRegion(dmaBufRegion({ slot: 1, guestPhysAddr: 0x20_0000n, guestMemfd: fds.buf })));
  r.run(r.kvm.setUserMemoryRegion(regionOf({ slot: 2, guestPhysAddr: 0x30_0000n })));
  r.run(r.kvm.setMemoryAttributes({ address: BigInt(AT), size: 0x1_0000n, attributes: 8n, flags: 0n }));
  for (const at of [AT, 2 * AT, 3 * AT]) r.run(r.kvm.write(addr<Gpa>(at), bytes(1)));
  return { ...r, gmem: file.gmem, fds };
}

const CALLS: Record<string, (w: World) => Op<unknown>> = {
  "create over a guest_memfd": ({ kvm, fds }) =>
    kvm.setUserMemoryRegion(
      gmemRegion({ slot: 3, guestPhysAddr: 0x40_0000n, guestMemfd: fds.gmem, guestMemfdOffset: 0x1_0000n }),
    ),
  "create over a dma-buf": ({ kvm, fds }) =>
    kvm.setUserMemoryRegion(dmaBufRegion({ slot: 3, guestPhysAddr: 0x40_0000n, guestMemfd: fds.buf })),
  "delete over a guest_memfd": ({ kvm }) => kvm.setUserMemoryRegion(regionOf({ memorySize: 0n })),
  "delete over a dma-buf": ({ kvm }) => kvm.setUserMemoryRegion(regionOf({ slot: 1, memorySize: 0n })),
  "delete over a mapping": ({ kvm }) => kvm.setUserMemoryRegion(regionOf({ slot: 2, memorySize: 0n })),
  move: ({ kvm }) => kvm.setUserMemoryRegion(regionOf({ slot: 2, guestPhysAddr: 0x40_0000n })),
  flags: ({ kvm }) => kvm.setUserMemoryRegion(regionOf({ slot: 2, guestPhysAddr: 0x30_0000n, flags: 1 })),
  attributes: ({ kvm }) => kvm.setMemoryAttributes({ address: BigInt(AT), size: 4096n, attributes: 0n, flags: 0n }),
  "punch a hole": ({ gmem }) => gmem.fallocate(PUNCH, 0, PAGE),
  "lose a page": ({ gmem }) => gmem.memoryFailure(0),
  "close the file": ({ kvm, fds }) => kvm.files.close(fds.gmem),
  "a slot over a buffer": ({ kvm, fds }) => {
    const file = kvm.files.get(fds.buf);
    if (file?.kind !== "dma-buf") throw new Error("no dma-buf");
    return kvm.setMemslot({ gpa: addr<Gpa>(0x40_0000), sizeBytes: 16 * PAGE, buf: file.buf, offset: 0 });
  },
};

/** Runs `steps` of the call and ends it, as a scheduler does. `false`: it was through before. */
function endAfter(op: Op<unknown>, steps: number): boolean {
  for (let n = 0; n < steps; n++) if (op.next().done) return false;
  expect(() => {
    for (let r = op.throw(new EndSignal("ended")); !r.done; r = op.next());
  }).toThrow(EndSignal);
  return true;
}

it.each(Object.keys(CALLS))("%s", (name) => {
  let steps = 0;
  for (let isEnded = true; isEnded; steps++) {
    const w = world();
    isEnded = endAfter((CALLS[name] as (w: World) => Op<unknown>)(w), steps);
    // Nobody waits for ever: an answer, an exit or an errno.
    const ends = [AT, 2 * AT, 3 * AT, 4 * AT].flatMap((at) =>
      [at, at + PAGE].map((gpa) => errnoOf(() => w.run(w.kvm.read(addr<Gpa>(gpa), 8)))),
    );
    for (const end of ends) expect(end).toMatch(/^(ok|EFAULT|EHWPOISON)$/);
    // A close that was not through has not closed.
    if (name === "close the file") expect(ends.includes("EFAULT")).toBe(!w.gmem.isOpen);
    // Each slot can be deleted, what backed it can back another, and in the end nothing is left.
    for (const slot of [0, 1, 2, 3]) {
      const gone = errnoOf(() => w.run(w.kvm.setUserMemoryRegion(regionOf({ slot, memorySize: 0n }))));
      expect(gone).toMatch(/^(ok|EINVAL)$/);
    }
    expect([name, steps, w.gmem.bound, [...w.vm.table.leaves()]]).toEqual([name, steps, [], []]);
    w.run(w.kvm.destroy());
    expect([name, steps, w.machine.resources.read()["guestPages"], w.fw.findings]).toEqual([name, steps, 0, []]);
  }
  expect(steps).toBeGreaterThan(1);
});
