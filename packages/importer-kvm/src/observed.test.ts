/** What Linux 7.3.4 answered to a VMM, done again on the model in the same order: each row by the name under which it was recorded. */
import { errnoOf } from "@dma-buf/config/refusal";
import type { Op } from "@dma-buf/core";
import { expect, it } from "vitest";
import { GUEST_MEMFD_FLAG, type UserMemoryRegion } from "./index.js";
import { gmemRegion, regionOf } from "./testing/arguments.js";
import { OBSERVED } from "./testing/observed.js";
import { BAR, bytes, endOf, GPA, PAGE, rig } from "./testing/rig.js";

const HVA = 0x7f00_0000_0000;

/** A VMM with a BAR mapped, on the variant that is what KVM does today. Each step answers as the record has it. */
function vmm(): Record<string, () => string> {
  const r = rig("vma", { guestPages: 4 });
  const { kvm, run } = r;
  run(kvm.process.mapBuffer(HVA, r.export(), 0, 16 * PAGE));
  const fds: number[] = [];
  const answer = (act: () => unknown): string => {
    const code = errnoOf(act);
    return code === "ok" ? "0" : `-${code}`;
  };
  const set = (change: Partial<UserMemoryRegion>): string =>
    answer(() =>
      run(kvm.setUserMemoryRegion(regionOf({ guestPhysAddr: BigInt(GPA), userspaceAddr: BigInt(HVA), ...change }))),
    );
  /** The guest stores 0x42: what the record calls exit 5 is its report, 6 is MMIO. */
  const store = (): string => {
    let end = "";
    const code = answer(() => (end = endOf(run(kvm.write(GPA, bytes(0x42))))));
    return code === "0" ? end : code;
  };
  const isVisible = (): boolean => r.at(BAR)[0] === 0x42;
  const ran = (): string => {
    const end = store();
    if (end === "mmio") return "0|exit_reason=6";
    return end === "done" ? `0|exit_reason=5 byte=0x42${isVisible() ? " GUEST WRITE VISIBLE" : ""}` : end;
  };
  const ranAgain = (): string => {
    r.machine.memory.write(BAR, bytes(0));
    const end = store();
    return end === "done" ? `0 exit=5|${isVisible() ? "42" : "?"}` : `${end} exit=0`;
  };
  const after = (op: () => Op<unknown>): string => {
    run(op());
    return ranAgain();
  };
  // The recorded VMM had 23 more files open.
  const create = (flags: bigint): string => {
    fds.push(kvm.createGuestMemfd({ size: 4096n, flags }));
    return `${23 + (fds.at(-1) as number)}`;
  };
  const memfd = (guestMemfd: number): string =>
    answer(() =>
      run(kvm.setUserMemoryRegion(gmemRegion({ slot: 9, guestPhysAddr: 0n, memorySize: 4096n, guestMemfd }))),
    );
  const mapped = (): string => {
    const file = kvm.files.get(fds[1] as number);
    return file?.kind === "guest-memfd" && file.gmem.mmap("shared") ? "mapped" : "?";
  };
  return {
    "VFIO BAR mmap: SET_USER_MEMORY_REGION": () => set({}),
    "VFIO BAR mmap: overlapping slot": () => set({ slot: 1 }),
    "VFIO BAR mmap: misaligned userspace_addr": () => set({ slot: 1, userspaceAddr: BigInt(HVA + 1) }),
    "VFIO BAR mmap: KVM_RUN": ran,
    "VFIO BAR mmap: delete slot": () => set({ memorySize: 0n }),
    "VFIO BAR mmap: run after slot delete": ran,
    "KVM unmapped-HVA slot create": () => set({ slot: 2, guestPhysAddr: 0x800_0000n, userspaceAddr: 0x10_0000n }),
    "KVM_CREATE_GUEST_MEMFD flags 0": () => create(0n),
    "KVM_CREATE_GUEST_MEMFD flags MMAP|INIT_SHARED": () => create(GUEST_MEMFD_FLAG.MMAP | GUEST_MEMFD_FLAG.INIT_SHARED),
    "mmap guest_memfd": mapped,
    "SET_USER_MEMORY_REGION2 guest_memfd": () => memfd(fds[0] as number),
    "SET_USER_MEMORY_REGION2 guest_memfd=udmabuf fd": () => memfd(kvm.files.installBuffer(r.export())),
    "slot BAR": () => set({}),
    "run BAR": ranAgain,
    "run BAR slot while memory disabled": () => after(() => r.exporter.setMemoryEnabled(false)),
    "run BAR slot after re-enable": () => after(() => r.exporter.setMemoryEnabled(true)),
    "run BAR slot after RESET": () => after(() => r.exporter.functionLevelReset()),
    "run after munmap BAR": () => after(() => kvm.process.unmap(HVA)),
  };
}

it("every row, in the order of the record", () => {
  const steps = vmm();
  const rows = OBSERVED.map((line) => {
    const name = Object.keys(steps).find((step) => line.slice(2).startsWith(`${step}|`)) ?? line;
    return [name, line.slice(3 + name.length)] as const;
  });
  expect(rows.map(([name]) => [name, steps[name]?.()])).toEqual(rows);
  expect(rows).toHaveLength(Object.keys(steps).length);
});
