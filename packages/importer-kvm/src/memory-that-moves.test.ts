/** S69b and its sisters: a guest over memory that moves, in every contract that serves KVM: it follows, and no byte is lost. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, Framework, type Op, PAGE_SIZE, type PhysAddr, Scheduler } from "@dma-buf/core";
import type { GpuExporter } from "@dma-buf/exporter-gpu";
import { gpuExporter as gpuAnnotated } from "@dma-buf/exporter-gpu/annotated-address";
import { gpuExporter as gpuPfn } from "@dma-buf/exporter-gpu/pfn";
import { gpuExporter as gpuPfnLocked } from "@dma-buf/exporter-gpu/pfn-locked";
import { gpuExporter as gpuVma } from "@dma-buf/exporter-gpu/vma";
import { udmabufExporter as udmabufAnnotated } from "@dma-buf/exporter-udmabuf/annotated-address";
import { udmabufExporter as udmabufPfn } from "@dma-buf/exporter-udmabuf/pfn";
import { udmabufExporter as udmabufPfnLocked } from "@dma-buf/exporter-udmabuf/pfn-locked";
import { udmabufExporter as udmabufVma } from "@dma-buf/exporter-udmabuf/vma";
import { F_SEAL, GpuMemory, GuestVm, Machine, MachineMemfds } from "@dma-buf/machine";
import { t1 } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import type { KvmImporter } from "./index.js";
import { BAR, bytes, contractOf, GPA, gpaAt, SERVING, type Serving, VARIANTS } from "./testing/rig.js";

/** With what a leaf over VRAM is cached: only an annotation says that it is write-combining. */
const GPU = {
  vma: { make: gpuVma(), vram: "uc" },
  "pfn-locked": { make: gpuPfnLocked(), vram: "uc" },
  "annotated-address": { make: gpuAnnotated({ tellsFrames: true }), vram: "wc" },
} as const;
const UDMABUF = {
  vma: udmabufVma,
  pfn: udmabufPfn,
  "pfn-locked": udmabufPfnLocked,
  "annotated-address": udmabufAnnotated,
};
const PAGES = 4;
const RAM = addr<PhysAddr>(0x2100_0000);

interface World {
  readonly fw: Framework;
  readonly machine: Machine;
  readonly address: string;
  readonly vm: GuestVm;
  readonly kvm: KvmImporter;
  run<T>(op: Op<T>): T;
  /** Memory type of the guest's leaf for the first page. */
  cache(): string | undefined;
}

function world(id: Serving): World {
  const { topology, exporter: address } = t1();
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: contractOf(id), scheduler });
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true });
  const vm = new GuestVm(machine, "guest", false);
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const cache = (): string | undefined => [...vm.table.leaves(GPA, PAGE_SIZE)][0]?.protection.cache;
  return { fw, machine, address, vm, run, cache, kvm: VARIANTS[id].kvm()(fw, vm) };
}

describe.each(SERVING)("%s", (id) => {
  it("S69b: RAM of a memory file migrates, and the guest's next access finds it", () => {
    const w = world(id);
    const memfds = new MachineMemfds(w.machine);
    const fd = memfds.create(PAGES * PAGE_SIZE);
    const file = memfds.memfd(fd);
    file.addSeals(F_SEAL.SHRINK);
    file.write(0, new Uint8Array(PAGES * PAGE_SIZE));
    const buf = UDMABUF[id]({ movable: true })(w.fw, memfds).create([
      { memfd: fd, offset: 0, sizeBytes: PAGES * PAGE_SIZE },
    ]);
    w.run(w.kvm.setMemslot({ gpa: GPA, sizeBytes: buf.sizeBytes, buf, offset: 0 }));
    for (let page = 0; page < PAGES; page++) w.run(w.kvm.write(gpaAt(page * PAGE_SIZE), bytes(page + 1)));
    expect(w.cache()).toBe("wb");
    const before = file.ranges(0, PAGE_SIZE)[0]?.physical;
    w.run(file.migrate(0));
    expect(file.ranges(0, PAGE_SIZE)[0]?.physical).not.toBe(before);
    expect(w.run(w.kvm.read(GPA, 8))).toEqual({ kind: "done", bytes: bytes(1) });
    w.run(w.kvm.write(gpaAt(8), bytes(0x42)));
    expect(file.read(8, 8)).toEqual(bytes(0x42));
    expect(file.read(3 * PAGE_SIZE, 8)).toEqual(bytes(4));
    expect(w.fw.findings).toEqual([]);
    w.run(w.kvm.destroy());
    w.run(w.fw.put(buf));
    expect(w.machine.resources.read()).toMatchObject({ tlbEntries: 0 });
  });
});

/** A GPU with as much VRAM as RAM, and a buffer of all of it. */
function gpuBuffer(w: World, make: (fw: Framework, host: GpuMemory) => GpuExporter) {
  const sizeBytes = PAGES * PAGE_SIZE;
  const memory = new GpuMemory(w.machine, w.address, {
    vramBytes: sizeBytes,
    windowBytes: sizeBytes,
    ram: { base: RAM, sizeBytes },
  });
  const exporter = make(w.fw, memory);
  const bo = exporter.create({ sizeBytes });
  return { exporter, bo, buf: exporter.export(bo), sizeBytes };
}

/** Where it asks for a place, the GPU brings a buffer back to VRAM; a mapping of the process leaves it in RAM. */
it.each(["vma", "pfn-locked", "annotated-address"] as const)("%s: VRAM moves to RAM and back: the same bytes", (id) => {
  const w = world(id);
  const { make, vram } = GPU[id];
  const { exporter, bo, buf, sizeBytes } = gpuBuffer(w, make);
  w.run(w.kvm.setMemslot({ gpa: GPA, sizeBytes, buf, offset: 0 }));
  w.run(w.kvm.write(GPA, bytes(7)));
  expect([w.machine.memory.read(BAR, 8), w.cache()]).toEqual([bytes(7), vram]);
  w.run(exporter.move(bo, "gtt"));
  expect(w.run(w.kvm.read(GPA, 8))).toEqual({ kind: "done", bytes: bytes(7) });
  w.run(w.kvm.write(gpaAt(8), bytes(9)));
  expect(w.cache()).toBe(id === "vma" ? "wb" : vram);
  w.run(exporter.move(bo, "vram"));
  expect(w.run(w.kvm.read(gpaAt(8), 8))).toEqual({ kind: "done", bytes: bytes(9) });
  expect([w.cache(), w.fw.findings]).toEqual([vram, []]);
});

it.each([
  ["pfn, whose GPU maps for devices", "pfn", gpuPfn(), "EINVAL@attach"],
  ["annotated-address, as DRM would have it", "annotated-address", gpuAnnotated(), "EOPNOTSUPP@attach"],
] as const)("%s: no frames for a guest, and nothing is left", (_name, id, make, expected) => {
  const w = world(id);
  const { buf, sizeBytes } = gpuBuffer(w, make);
  const before = w.fw.ledger;
  expect(refusal(() => w.run(w.kvm.setMemslot({ gpa: GPA, sizeBytes, buf, offset: 0 })))).toBe(expected);
  expect([w.fw.ledger, w.kvm.files.get(3)]).toEqual([before, null]);
});
