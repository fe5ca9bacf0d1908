/** The modelled machine is a host for this exporter; the other tests use what is made here. */
import {
  annotatedAddress,
  type Contract,
  dmaAddress,
  Framework,
  linux73,
  type Op,
  PAGE_SIZE,
  pfn,
  pfnLocked,
  Scheduler,
  vma,
} from "@dma-buf/core";
import {
  F_SEAL,
  Machine,
  type MachineDevice,
  MachineMemfds,
  type MachineOptions,
  type MemfdsOptions,
} from "@dma-buf/machine";
import { t1 } from "@dma-buf/pci";
import { expect, it } from "vitest";
import * as annotatedAddressVariant from "./annotated-address.js";
import * as dmaAddressVariant from "./dma-address.js";
import type { UdmabufExporter, UdmabufMergedOptions } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import * as linux73Variant from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import * as pfnLockedVariant from "./pfn-locked.js";
import * as vmaVariant from "./vma.js";

/** Every variant with the contract that it is for. */
export const VARIANTS: readonly {
  readonly name: string;
  readonly contract: Contract;
  readonly module: VariantModule;
}[] = [
  { name: "dma-address", contract: dmaAddress, module: dmaAddressVariant },
  { name: "vma", contract: vma, module: vmaVariant },
  { name: "pfn", contract: pfn, module: pfnVariant },
  { name: "pfn-locked", contract: pfnLocked, module: pfnLockedVariant },
  { name: "annotated-address", contract: annotatedAddress, module: annotatedAddressVariant },
  { name: "linux-7.3", contract: linux73, module: linux73Variant },
];

interface VariantModule {
  udmabufExporter(options?: UdmabufMergedOptions): (fw: Framework, host: UdmabufHost) => UdmabufExporter;
  readonly dmaBufPlugin: { readonly capabilities: readonly string[]; readonly contracts: readonly string[] };
}

export interface RigOptions {
  readonly variant?: string;
  /** Another contract than the variant's own. */
  readonly contract?: Contract;
  readonly options?: UdmabufMergedOptions;
  readonly machine?: Partial<MachineOptions>;
  readonly memfds?: MemfdsOptions;
  readonly scheduler?: Scheduler;
  readonly allocFails?: (op: string) => boolean;
  /** Of the framework. */
  readonly debug?: boolean;
}

export interface Rig {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly machine: Machine;
  readonly memfds: MachineMemfds;
  readonly exporter: UdmabufExporter;
  /** A device that does DMA. */
  readonly nic: MachineDevice;
  readonly gpu: MachineDevice;
  /** A sealed memory file; its fd. */
  file(pages: number, pageBytes?: number): number;
  run<T>(op: Op<T>): T;
  /** Everything that is out, in every ledger. */
  out(): unknown;
}

export function rig(given: RigOptions = {}): Rig {
  const { variant = "dma-address", scheduler = new Scheduler(), allocFails = () => false, debug = false } = given;
  const { module, ...known } = VARIANTS.find((v) => v.name === variant) as (typeof VARIANTS)[number];
  const { contract = known.contract } = given;
  const fw = new Framework({ contract, scheduler, allocFails, debug });
  const { topology, exporter: second, importers } = t1();
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true, ...given.machine });
  const memfds = new MachineMemfds(machine, given.memfds);
  const host: UdmabufHost = memfds;
  const exporter = module.udmabufExporter(given.options)(fw, host);
  return {
    scheduler,
    fw,
    machine,
    memfds,
    exporter,
    nic: machine.device(importers[0] as string),
    gpu: machine.device(second),
    file(pages, pageBytes = PAGE_SIZE) {
      const fd = memfds.create(pages * PAGE_SIZE, { pageBytes });
      memfds.memfd(fd).addSeals(F_SEAL.SHRINK);
      // Touched: its pages are allocated here, and not by whoever pins them.
      memfds.memfd(fd).ranges(0, pages * PAGE_SIZE);
      return fd;
    },
    run: (op) => scheduler.complete("test", op),
    out: () => ({ fw: fw.ledger, exporter: exporter.ledger, machine: machine.resources.read() }),
  };
}

/** `[offset, offset + pages)` of a file, in pages. */
export function item(memfd: number, page: number, pages: number): { memfd: number; offset: number; sizeBytes: number } {
  return { memfd, offset: page * PAGE_SIZE, sizeBytes: pages * PAGE_SIZE };
}

/** `length` bytes of one value. */
export const bytes = (value: number, length = 8): Uint8Array => new Uint8Array(length).fill(value);

it.each(VARIANTS)("$name: the machine's memory files are its host, and a buffer lives and dies there", ({ name }) => {
  const r = rig({ variant: name });
  const fd = r.file(2);
  const buf = r.exporter.create([item(fd, 0, 2)]);
  expect(r.exporter.ledger).toEqual({ buffers: 1, tables: 0, pins: 0 });
  expect(r.machine.resources.read()).toMatchObject({ memfdPins: 2, memfdFrames: 2 });
  expect([buf.exporterName, buf.sizeBytes, buf.flags]).toEqual(["udmabuf", 8192, 2]);
  r.run(r.fw.put(buf));
  expect(r.exporter.ledger).toEqual({ buffers: 0, tables: 0, pins: 0 });
  expect(r.machine.resources.read()).toMatchObject({ memfdPins: 0, memfdFrames: 2 });
  r.memfds.close(fd);
  expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
});
