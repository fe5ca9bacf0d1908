/** What the tests of this package share: a small machine with a switch, its devices, and a way to run operations. */
import { addr, type DmaAddr, type Op, type PhysAddr, Scheduler, Trace } from "@dma-buf/core";
import { type PciFunction, t1, t2, Topology } from "@dma-buf/pci";
import type { MachineDevice } from "./device.js";
import { Machine } from "./machine.js";
import type { IommuMode, MachineOptions } from "./options.js";

/** Where BAR 0 of the exporter's device begins; it has 1 GiB. */
export const BAR: PhysAddr = addr<PhysAddr>(0x40_0000_0000);
/** A page of RAM that nothing else uses. */
export const RAM: PhysAddr = addr<PhysAddr>(0x20_0000);

export interface Rig {
  readonly scheduler: Scheduler;
  readonly machine: Machine;
  /** The function whose BAR it is. */
  readonly gpu: PciFunction;
  /** A peer that does DMA; it reaches the BAR sideways in T1, by the root complex in T2. */
  readonly nic: MachineDevice;
  /** Runs one operation to its end. */
  run<T>(op: Op<T>): T;
}

export interface RigOptions {
  readonly base?: "T1" | "T2";
  readonly iommu?: IommuMode;
  readonly scheduler?: Scheduler;
  /** What a capture would say of a function otherwise. */
  readonly captured?: (fn: PciFunction) => PciFunction;
  /** What else the machine is made with. */
  readonly machine?: Partial<MachineOptions>;
}

/** T1 has everything below one switch, T2 the two devices below two root ports. */
export function rig(options: RigOptions = {}): Rig {
  const { base = "T1", iommu = "off", scheduler = new Scheduler(), captured = (fn) => fn } = options;
  const { topology: whole, exporter, importers } = base === "T1" ? t1() : t2();
  const { hostBridges, cpu } = whole;
  const topology = new Topology({ functions: whole.functions.map(captured), hostBridges, cpu });
  const trace = new Trace(scheduler);
  const machine = new Machine({ topology, trace, iommu, rootComplexForwards: true, tablesMax: 32, ...options.machine });
  return {
    scheduler,
    machine,
    gpu: topology.get(exporter),
    nic: machine.device(importers[0] as string),
    run: (op) => scheduler.complete("test", op),
  };
}

/** The DMA address that is the bus address of a physical one: the topologies have no bus offset. */
export function dmaOf(physical: PhysAddr): DmaAddr {
  return addr<DmaAddr>(physical);
}

/** `length` bytes of one value. */
export function bytes(value: number, length = 8): Uint8Array {
  return new Uint8Array(length).fill(value);
}

/** Steps an operation until it stands at `site`. */
export function upTo(op: Op<unknown>, site: string): void {
  for (let at = op.next(); !at.done; at = op.next()) if (at.value.site === site) return;
  throw new Error(`${site} was never reached`);
}
