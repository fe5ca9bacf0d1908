/** What the tests share: a machine with an assigned function, a GPU that exports and one that imports, and one kernel. */
import { refusal } from "@dma-buf/config/refusal";
import {
  type AccessResult,
  addr,
  type DmaBuf,
  Framework,
  type FrameworkOptions,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  Scheduler,
} from "@dma-buf/core";
import type { BufferObject, GpuExporter, GpuOptions as ExporterOptions } from "@dma-buf/exporter-gpu";
import type { VfioExporter, VfioOptions } from "@dma-buf/exporter-vfio";
import {
  DeviceFabric,
  GpuMemory,
  Machine,
  type MachineDevice,
  type MachineOptions,
  VfioPciDevice,
} from "@dma-buf/machine";
import { t1, t2 } from "@dma-buf/pci";
import { expect } from "vitest";
import type { Command, GpuHost, GpuImporter, GpuJob, GpuOptions, GpuVm, ImportedBuffer } from "../index.js";
import { contractOf, type VariantId, VARIANTS } from "./variants.js";

export const PAGE: number = PAGE_SIZE;
/** Where BAR 0 of the exporter's device begins. */
export const BAR = 0x40_0000_0000;
/** Where the buffer is put in the GPU's address space. */
export const VA = 0x7f00_0000_0000;

export interface RigOptions {
  readonly base?: "T1" | "T2";
  readonly machine?: Partial<MachineOptions>;
  readonly framework?: Partial<FrameworkOptions>;
  readonly importer?: GpuOptions;
  readonly vfio?: VfioOptions;
  readonly exporter?: ExporterOptions;
  readonly inFabric?: boolean;
  /** Is the host bridge on the kernel's list? @defaultValue true */
  readonly allowlisted?: boolean;
  /** How much of VRAM, in pages, peers see. @defaultValue all 16 */
  readonly windowPages?: number;
}

export interface Rig {
  readonly scheduler: Scheduler;
  readonly machine: Machine;
  readonly fw: Framework;
  readonly memory: GpuMemory;
  readonly vfio: VfioExporter;
  readonly exporter: GpuExporter;
  readonly gpu: GpuImporter;
  readonly host: GpuHost;
  run<T>(op: Op<T>): T;
  /** Pages of the BAR as a buffer. */
  bar(pages?: number): DmaBuf;
  /** A buffer object of the exporting GPU. */
  bo(pages?: number, more?: object): { readonly bo: BufferObject; readonly buf: DmaBuf };
  /** Everything that is out, in one object. */
  counts(): object;
  /** `EINVAL@map`, or `ok`; of what is refused nothing may be left. */
  answer(op: () => unknown): string;
  /** Another importer, on another function of the topology. */
  another(index: number, options?: GpuOptions): GpuImporter;
  importerFor(host: GpuHost): GpuImporter;
}

export function hostOf(machine: Machine, device: MachineDevice, fabric?: DeviceFabric): GpuHost {
  const way = fabric && {
    write: (address: Parameters<DeviceFabric["write"]>[1], bytes: Uint8Array) => fabric.write(device, address, bytes),
    read: (address: Parameters<DeviceFabric["read"]>[1], sizeBytes: number) => fabric.read(device, address, sizeBytes),
  };
  return { device, memory: machine.memory, tables: machine.memory.tables, fabric: way };
}

export function rig(id: VariantId, options: RigOptions = {}): Rig {
  const { base = "T1", windowPages = 16, inFabric = false, allowlisted = true } = options;
  const { topology, exporter: address, importers } = base === "T1" ? t1({ allowlisted }) : t2({ allowlisted });
  const scheduler = options.framework?.scheduler ?? new Scheduler();
  const fw = new Framework({ contract: contractOf(id), ...options.framework, scheduler });
  const machine = new Machine({
    topology,
    trace: fw.trace,
    iommu: "off",
    rootComplexForwards: true,
    tablesMax: 64,
    ...options.machine,
  });
  const fabric = new DeviceFabric(machine, "hive");
  const parts = VARIANTS[id];
  const memory = new GpuMemory(machine, address, {
    vramBytes: 16 * PAGE,
    windowBytes: windowPages * PAGE,
    ram: { base: addr<PhysAddr>(0x2100_0000), sizeBytes: 16 * PAGE },
    ...(inFabric ? { fabric } : {}),
  });
  const vfio = parts.vfio.vfioExporter(options.vfio)(fw, new VfioPciDevice(machine, address));
  const exporter = parts.gpu.gpuExporter(options.exporter)(fw, memory);
  const device = machine.device(importers[0] as string);
  if (inFabric) fabric.join(device);
  const host = hostOf(machine, device, inFabric ? fabric : undefined);
  const gpu = parts.importer.gpuImporter(options.importer)(fw, host);
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const counts = (): object => ({
    ...fw.ledger,
    // Page-table pages that lead to nothing are kept by who made them, and are not counted.
    dmaMappings: machine.ledger.dmaMappings,
    ...exporter.ledger,
    importer: gpu.ledger,
  });
  return {
    scheduler,
    machine,
    fw,
    memory,
    vfio,
    exporter,
    gpu,
    host,
    run,
    counts,
    bar: (pages = 2) => run(vfio.export({ regionIndex: 0, ranges: [{ offset: 0, length: pages * PAGE }] })),
    bo(pages = 1, more = {}) {
      const bo = exporter.create({ sizeBytes: pages * PAGE, ...more });
      return { bo, buf: exporter.export(bo) };
    },
    answer(act) {
      const before = counts();
      const told = refusal(() => {
        const done = act();
        if (typeof (done as Op<unknown> | undefined)?.next === "function") run(done as Op<unknown>);
      });
      if (told !== "ok") expect(counts()).toEqual(before);
      return told;
    },
    importerFor: (other) => parts.importer.gpuImporter(options.importer)(fw, other),
    another: (index, more) =>
      parts.importer.gpuImporter(more)(fw, hostOf(machine, machine.device(importers[index] as string))),
  };
}

/** A buffer in an address space at {@link VA}. */
export interface Seat {
  readonly vm: GpuVm;
  readonly bo: ImportedBuffer;
}

export function* seated(gpu: GpuImporter, buf: DmaBuf): Op<Seat> {
  const bo = yield* gpu.import(buf);
  const vm = gpu.createVm();
  vm.map(bo, { va: VA });
  return { vm, bo };
}

export const bytes = (value: number, length = 8): Uint8Array => new Uint8Array(length).fill(value);
export const write = (value: number, at = 0): Command => ({ do: "write", va: VA + at, bytes: bytes(value) });
export const read = (at = 0, sizeBytes = 8): Command => ({ do: "read", va: VA + at, sizeBytes });

/** Submits a job that lists the buffer, and waits for its end. */
export function* does(gpu: GpuImporter, { vm, bo }: Seat, ...commands: Command[]): Op<readonly AccessResult[]> {
  return yield* finished(yield* gpu.submit({ vm, buffers: [{ bo }], commands }));
}

export function* finished(job: GpuJob): Op<readonly AccessResult[]> {
  yield* job.fence.wait();
  job.fence.put();
  return job.results;
}

export function* leave(gpu: GpuImporter, { vm, bo }: Seat): Op<void> {
  yield* vm.destroy();
  yield* gpu.close(bo);
}
