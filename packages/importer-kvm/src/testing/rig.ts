/** What the tests of the MMU share: a machine with an assigned function, a kernel of each contract, and a guest. */
import {
  addr,
  type Contract,
  contracts,
  type DmaBuf,
  Framework,
  type FrameworkOptions,
  type Gpa,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  Scheduler,
} from "@dma-buf/core";
import type { VfioExporter, VfioOptions } from "@dma-buf/exporter-vfio";
import { vfioExporter as vfioAnnotated } from "@dma-buf/exporter-vfio/annotated-address";
import { vfioExporter as vfioDma } from "@dma-buf/exporter-vfio/dma-address";
import { vfioExporter as vfio73 } from "@dma-buf/exporter-vfio/linux-7.3";
import { vfioExporter as vfioPfn } from "@dma-buf/exporter-vfio/pfn";
import { vfioExporter as vfioPfnLocked } from "@dma-buf/exporter-vfio/pfn-locked";
import { vfioExporter as vfioVma } from "@dma-buf/exporter-vfio/vma";
import { GuestMemory, type GuestOptions, GuestVm, Machine, VfioPciDevice } from "@dma-buf/machine";
import { t1 } from "@dma-buf/pci";
import { kvmImporter as annotated } from "../annotated-address.js";
import { kvmImporter as dmaAddress } from "../dma-address.js";
import type { KvmFactory, KvmHost, KvmImporter, KvmOptions, RunResult, TrustedIoHost } from "../index.js";
import { kvmImporter as linux73 } from "../linux-7.3.js";
import { kvmImporter as pfn } from "../pfn.js";
import { kvmImporter as pfnLocked } from "../pfn-locked.js";
import { kvmImporter as vma } from "../vma.js";

export const PAGE: number = PAGE_SIZE;
export const MIB: number = 2 ** 20;
export const GIB: number = 2 ** 30;
/** Where BAR 0 of the exporter's function begins; it has 1 GiB. */
export const BAR: PhysAddr = addr<PhysAddr>(0x40_0000_0000);
/** RAM that the process has mapped, and more of it for a migration. */
export const RAM: PhysAddr = addr<PhysAddr>(0x2000_0000);
/** Pages of guest_memfds. */
export const GUEST_RAM: PhysAddr = addr<PhysAddr>(0x2800_0000);
/** The guest sees a buffer from here on. */
export const GPA: Gpa = addr<Gpa>(0x1_0000_0000);

interface Plugins {
  readonly kvm: KvmFactory;
  readonly vfio: typeof vfioPfn;
}

export type VariantId = "dma-address" | "vma" | "pfn" | "pfn-locked" | "annotated-address" | "linux-7.3";

export const VARIANTS: Readonly<Record<VariantId, Plugins>> = {
  "dma-address": { kvm: dmaAddress, vfio: vfioDma },
  vma: { kvm: vma, vfio: vfioVma },
  pfn: { kvm: pfn, vfio: vfioPfn },
  "pfn-locked": { kvm: pfnLocked, vfio: vfioPfnLocked },
  "annotated-address": { kvm: annotated, vfio: vfioAnnotated },
  "linux-7.3": { kvm: linux73, vfio: vfio73 },
};
/** Those that have a slot over a buffer. */
export const SERVING = ["vma", "pfn", "pfn-locked", "annotated-address"] as const;
export type Serving = (typeof SERVING)[number];

export interface RigOptions {
  readonly kvm?: KvmOptions;
  readonly vfio?: VfioOptions;
  readonly guest?: GuestOptions;
  readonly privateMemory?: boolean;
  readonly framework?: Partial<FrameworkOptions>;
  readonly tablesMax?: number;
  /** Pages of guest_memfds. @defaultValue none */
  readonly guestPages?: number;
  /** @defaultValue the platform has none */
  readonly trustedIo?: TrustedIoHost;
}

export interface Rig {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly machine: Machine;
  readonly vm: GuestVm;
  readonly kvm: KvmImporter;
  readonly exporter: VfioExporter;
  run<T>(op: Op<T>): T;
  /** Whole pages of the BAR, or of ranges of it. */
  export(sizeBytes?: number, offset?: number): DmaBuf;
  /** Bytes of the machine at a physical address. */
  at(physical: number, sizeBytes?: number): Uint8Array;
}

export function contractOf(id: VariantId): Contract {
  return contracts.find((c) => c.id === id) as Contract;
}

export function rig(id: VariantId, options: RigOptions = {}): Rig {
  const { privateMemory = false, tablesMax = 24, guestPages = 0 } = options;
  const { topology, exporter: address } = t1();
  const scheduler = options.framework?.scheduler ?? new Scheduler();
  const fw = new Framework({ contract: contractOf(id), ...options.framework, scheduler });
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true, tablesMax });
  const ram = { base: GUEST_RAM, sizeBytes: guestPages * PAGE };
  const guestMemory = guestPages > 0 ? { guestMemory: new GuestMemory(machine, { ram }) } : {};
  const vm = new GuestVm(machine, "guest", privateMemory, { ...guestMemory, ...options.guest });
  // Whatever the machine offers fits what this package asks for.
  const host: KvmHost = Object.assign(vm, { trustedIo: options.trustedIo ?? null });
  const exporter = VARIANTS[id].vfio(options.vfio)(fw, new VfioPciDevice(machine, address));
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  return {
    scheduler,
    fw,
    machine,
    vm,
    kvm: VARIANTS[id].kvm(options.kvm)(fw, host),
    exporter,
    run,
    export: (length = GIB, offset = 0) => run(exporter.export({ regionIndex: 0, ranges: [{ offset, length }] })),
    at: (physical, sizeBytes = 8) => machine.memory.read(physical, sizeBytes),
  };
}

export function bytes(value: number, length = 8): Uint8Array {
  return new Uint8Array(length).fill(value);
}

export const gpaAt = (offset: number): Gpa => addr<Gpa>(GPA + offset);

/** How it ended, in a word: with an exit, its name. */
export function endOf(result: RunResult): string {
  return "exit" in result ? result.exit : result.kind;
}

/** Leaves by size in KiB. */
export function leavesOf({ vm }: Rig): Record<number, number> {
  const counts: Record<number, number> = {};
  for (const { sizeBytes } of vm.table.leaves()) counts[sizeBytes / 1024] = (counts[sizeBytes / 1024] ?? 0) + 1;
  return counts;
}
