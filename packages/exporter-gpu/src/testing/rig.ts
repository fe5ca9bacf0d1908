/** What the tests share: a machine with a GPU and a NIC, one kernel of each contract, and an importer that does DMA. */
import {
  addr,
  type AccessResult,
  type Contract,
  contracts,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaFence,
  type FabricAddr,
  Framework,
  type FrameworkOptions,
  type Held,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  type Run,
  Scheduler,
  until,
  Usage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { DeviceFabric, GpuMemory, Machine, type MachineDevice, type MachineOptions } from "@dma-buf/machine";
import { refusal } from "@dma-buf/config/refusal";
import { type CatalogueOptions, t1, t2 } from "@dma-buf/pci";
import { expect } from "vitest";
import * as annotatedAddress from "../annotated-address.js";
import * as dmaAddress from "../dma-address.js";
import type { BufferObject, GpuExporter, GpuHost, GpuOptions } from "../index.js";
import * as linux73 from "../linux-7.3.js";
import * as pfn from "../pfn.js";
import * as pfnLocked from "../pfn-locked.js";
import * as vma from "../vma.js";

export const PAGE: number = PAGE_SIZE;
/** Where BAR 0 of the GPU begins. */
export const BAR = 0x40_0000_0000;
/** Where the GPU's pages of RAM begin. */
export const RAM = 0x2100_0000;

export const VARIANTS: {
  readonly "dma-address": typeof dmaAddress;
  readonly "linux-7.3": typeof linux73;
  readonly "annotated-address": typeof annotatedAddress;
  readonly vma: typeof vma;
  readonly pfn: typeof pfn;
  readonly "pfn-locked": typeof pfnLocked;
} = {
  "dma-address": dmaAddress,
  "linux-7.3": linux73,
  "annotated-address": annotatedAddress,
  vma,
  pfn,
  "pfn-locked": pfnLocked,
};
export type VariantId = keyof typeof VARIANTS;
export const ALL: readonly VariantId[] = Object.keys(VARIANTS) as VariantId[];
/** Those in which the exporter maps. */
export const MAPPED: readonly VariantId[] = ["dma-address", "linux-7.3", "annotated-address"];
export const FRAMES: readonly VariantId[] = ["pfn", "pfn-locked"];

export interface RigOptions extends CatalogueOptions {
  readonly base?: "T1" | "T2";
  readonly machine?: Partial<MachineOptions>;
  readonly framework?: Partial<FrameworkOptions>;
  readonly vramPages?: number;
  readonly windowPages?: number;
  readonly ramPages?: number;
  /** @defaultValue {@link RAM} */
  readonly ramBase?: number;
  readonly inFabric?: boolean;
  readonly exporter?: annotatedAddress.GpuAnnotatedOptions & GpuOptions;
}

export interface Rig {
  readonly scheduler: Scheduler;
  readonly machine: Machine;
  readonly memory: GpuMemory;
  readonly fw: Framework;
  readonly exporter: GpuExporter;
  /** The NIC's function. */
  readonly device: MachineDevice;
  readonly fabric: DeviceFabric;
  run<T>(op: Op<T>): T;
  /** A buffer of so many pages, exported; the creator's handle is closed, but as posted. */
  shared(pages: number, options?: Partial<Parameters<GpuExporter["create"]>[0]>): { bo: BufferObject; buf: DmaBuf };
  /** Everything that is out, in one object. */
  counts(): object;
}

export function contractOf(id: VariantId): Contract {
  return contracts.find((c) => c.id === id) as Contract;
}

export function rig(id: VariantId, options: RigOptions = {}): Rig {
  const { base = "T1", vramPages = 16, windowPages = vramPages, ramPages = 16, ramBase = RAM } = options;
  const { topology, exporter: address, importers } = base === "T1" ? t1(options) : t2(options);
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
  if (options.inFabric) {
    // Another window of the GPU's comes first, so that VRAM does not begin at 0 in the fabric.
    fabric.join(machine.device(address));
    fabric.expose(machine.device(address), PAGE);
  }
  const memory = new GpuMemory(machine, address, {
    vramBytes: vramPages * PAGE,
    windowBytes: windowPages * PAGE,
    ram: { base: addr<PhysAddr>(ramBase), sizeBytes: ramPages * PAGE },
    ...(options.inFabric ? { fabric } : {}),
  });
  const host: GpuHost = memory;
  const exporter = VARIANTS[id].gpuExporter(options.exporter)(fw, host);
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  return {
    scheduler,
    machine,
    memory,
    fw,
    exporter,
    fabric,
    run,
    device: machine.device(importers[0] as string),
    shared(pages, more) {
      const bo = exporter.create({ sizeBytes: pages * PAGE, ...more });
      const buf = exporter.export(bo);
      // As posted it is by the handle that the driver finds whom to tell.
      if (!options.exporter?.asPosted) exporter.close(bo);
      return { bo, buf };
    },
    // The machine's tables are page tables: those of the kernel's mappings stay.
    counts: () => ({ ...machine.ledger, ...memory.ledger, ...fw.ledger, ...exporter.ledger }),
  };
}

export interface NicOptions {
  readonly peer2peer?: boolean;
  /** No callback: `pinned` importers have none. */
  readonly unnotified?: boolean;
  /** It has the callback, and goes on with what it holds. */
  readonly ignores?: boolean;
  readonly withoutDevice?: boolean;
  readonly isStatic?: boolean;
}

/** An importer that maps when it needs to, writes by DMA to what it was told, and drops it when it is told to. */
export class Nic {
  attachment!: DmaBufAttachment;
  runs: readonly Run[] = [];
  /** Times it was told. */
  told = 0;
  readonly #rig: Rig;
  readonly #device: MachineDevice;
  readonly #options: NicOptions;
  readonly #mapped: { readonly address: DmaAddr; readonly sizeBytes: number }[] = [];
  #window: Window | null = null;

  constructor(of: Rig, options: NicOptions = {}, device: MachineDevice = of.device) {
    this.#rig = of;
    this.#device = device;
    this.#options = options;
  }

  *attach(buf: DmaBuf): Op<void> {
    const { peer2peer = true, unnotified, withoutDevice, isStatic } = this.#options;
    const invalidateMappings = (_at: DmaBufAttachment, held: Held): Op<void> => this.#invalidated(held);
    const ops = { allowPeer2peer: peer2peer, ...(unnotified ? {} : { invalidateMappings }) };
    const importer = { name: "nic", ops: isStatic ? null : ops };
    this.attachment = yield* this.#rig.fw.dynamicAttach(buf, withoutDevice ? null : this.#device, importer);
    try {
      this.#window = yield* this.#rig.fw.open(this.attachment, "bidirectional");
    } catch (error) {
      yield* this.#rig.fw.detachAttachment(buf, this.attachment);
      throw error;
    }
  }

  /** Maps or asks, and waits for the bytes as a dynamic importer must. */
  *use(): Op<void> {
    const { buf } = this.attachment;
    const { resv } = buf;
    this.runs = yield* withRuns(this.attachment, this.#window as Window, 0, buf.sizeBytes, function* (runs) {
      yield* resv.waitTimeout(Usage.KERNEL);
      return runs;
    });
  }

  /** To what it was told, whether or not that still holds. */
  *write(offset: number, data: Uint8Array): Op<AccessResult> {
    const { address, run } = this.#at(offset, data.length);
    if (run.kind === "device-private")
      return yield* this.#rig.fabric.write(this.#device, addr<FabricAddr>(address), data);
    return yield* this.#device.write(addr<DmaAddr>(address), data);
  }

  *read(offset: number, sizeBytes: number): Op<AccessResult> {
    const { address, run } = this.#at(offset, sizeBytes);
    if (run.kind === "device-private")
      return yield* this.#rig.fabric.read(this.#device, addr<FabricAddr>(address), sizeBytes);
    return yield* this.#device.read(addr<DmaAddr>(address), sizeBytes);
  }

  *pin(): Op<void> {
    using held = yield* this.attachment.buf.resv.lock();
    yield* this.#rig.fw.pinAttachment(this.attachment, held);
  }

  *unpin(): Op<void> {
    using held = yield* this.attachment.buf.resv.lock();
    yield* this.#rig.fw.unpinAttachment(this.attachment, held);
  }

  *detach(): Op<void> {
    this.#unmap();
    this.runs = [];
    yield* (this.#window as Window).close();
    yield* this.#rig.fw.detachAttachment(this.attachment.buf, this.attachment);
  }

  *#invalidated(held: Held): Op<void> {
    this.told++;
    if (this.#options.ignores) return;
    this.#unmap();
    this.runs = [];
    yield* (this.#window as Window).drop(held);
  }

  #at(offset: number, sizeBytes: number): { readonly address: number; readonly run: Run } {
    const run = this.runs.find((r) => r.offset <= offset && offset + sizeBytes <= r.offset + r.sizeBytes);
    if (!run) throw new RangeError(`the NIC holds nothing for byte ${offset}`);
    const base = run.kind === "cpu-physical" ? this.#map(run.address, run.sizeBytes) : run.address;
    return { run, address: base + offset - run.offset };
  }

  /** What an importer that is told frames does for its own device. */
  #map(physical: PhysAddr, sizeBytes: number): number {
    const address = this.#device.dma.mapPhys(physical, sizeBytes, "bidirectional", { mmio: physical >= BAR });
    this.#mapped.push({ address, sizeBytes });
    return address;
  }

  #unmap(): void {
    for (const { address, sizeBytes } of this.#mapped.splice(0)) this.#device.dma.unmapPhys(address, sizeBytes);
  }
}

export function bytes(value: number): Uint8Array {
  return new Uint8Array(8).fill(value);
}

/** What the GPU itself finds in its buffer. */
export function contents({ memory }: Rig, bo: BufferObject, offset = 0, sizeBytes = 8): Uint8Array {
  let at = offset;
  for (const block of bo.place?.blocks ?? []) {
    if (at < block.sizeBytes) return memory.read(bo.place?.domain ?? "vram", block.start + at, sizeBytes);
    at -= block.sizeBytes;
  }
  throw new RangeError(`the buffer has no byte ${offset}`);
}

/** A job of somebody's engine: in the reservation until it is signalled. */
export function job(of: Rig, bo: BufferObject, usage: Usage): DmaFence {
  const { env } = of.fw;
  const ops = { driverName: () => "nic", timelineName: () => "job" };
  const fence = new DmaFence(env, ops, env.allocContexts(1), 1);
  of.run(addFence(bo, fence, usage));
  return fence;
}

function* addFence(bo: BufferObject, fence: DmaFence, usage: Usage): Op<void> {
  using held = yield* bo.resv.lock();
  bo.resv.reserveFences(held, 1);
  bo.resv.addFence(held, fence, usage);
}

/** Waits until nobody else can go on: modelled time passes then only. */
export function allQuiet(scheduler: Scheduler): Op<void> {
  return until(
    "all quiet",
    () => false,
    () => "time",
    scheduler.now + 1,
  );
}

/** Does `op` end only when a fence of `usage` in the reservation has signalled? */
export function waitsFor(of: Rig, bo: BufferObject, usage: Usage, op: Op<unknown>): boolean {
  const fence = job(of, bo, usage);
  const task = of.scheduler.spawn("waiter", op);
  let ended = false;
  of.scheduler.spawn(
    "job",
    (function* () {
      yield* allQuiet(of.scheduler);
      ended = task.state !== "runnable";
      fence.signal();
    })(),
  );
  expect(of.scheduler.run()).toEqual({ kind: "done" });
  expect(task.state).toBe("done");
  return !ended;
}

/** What `act` was refused with; nothing may be left of it. */
export function refused(of: Rig, act: () => unknown): string {
  const before = of.counts();
  const answer = refusal(act);
  expect(of.counts()).toEqual(before);
  return answer;
}
