/**
 * Addresses that mean something between the devices of one fabric alone: XGMI, NVLink. They travel beside PCI: no port
 * routes them, no IOMMU translates them, and no CPU has a number for what lies behind them. A platform model, unverified.
 */
import { type AccessResult, addr, type FabricAddr, hex, type Op, point } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import type { MachineDevice } from "./device.js";
import type { Machine } from "./machine.js";

/** Memory that a device shows; addresses count from its beginning. An access may cross its pages. */
export interface FabricMemory {
  readonly sizeBytes: number;
  read(at: number, sizeBytes: number): Uint8Array;
  write(at: number, bytes: Uint8Array): void;
}

/** Device memory that its owner shows to the fabric. */
interface Window {
  readonly owner: PciFunction;
  readonly base: number;
  readonly memory: FabricMemory;
}

export class DeviceFabric {
  readonly name: string;
  readonly #machine: Machine;
  readonly #members = new Set<PciFunction>();
  readonly #windows: Window[] = [];
  #next = 0;

  constructor(machine: Machine, name: string) {
    this.#machine = machine;
    this.name = name;
  }

  join(device: MachineDevice): void {
    if (this.#members.has(device.fn)) return;
    this.#members.add(device.fn);
    device.fabrics.push({ kind: "device-private", fabric: this });
  }

  /**
   * Shows `sizeBytes` of the device's own memory, zeroed, to all members. The fabric owns the bytes; at most 2 GiB.
   * @throws RangeError for a device that is no member
   */
  expose(device: MachineDevice, sizeBytes: number): FabricAddr {
    return this.show(device, ownMemory(sizeBytes));
  }

  /** As {@link expose}, with memory that somebody else keeps. */
  show(device: MachineDevice, memory: FabricMemory): FabricAddr {
    if (!this.#members.has(device.fn)) throw new RangeError(`${device.name} is not in ${this.name}: join it first`);
    const base = this.#next;
    this.#windows.push({ owner: device.fn, base, memory });
    this.#next += memory.sizeBytes;
    return addr<FabricAddr>(base);
  }

  /** Sleeps until it arrives. Who is no member, and what nobody answers for, is lost. */
  *write(from: MachineDevice, address: FabricAddr, bytes: Uint8Array): Op<AccessResult> {
    const found = yield* this.#arrive(from, address, bytes.length);
    if (typeof found === "string") return this.#lost(from, address, found);
    found.memory.write(address - found.base, bytes);
    return { kind: "done", bytes: new Uint8Array(0) };
  }

  /** As {@link write}; a read that is lost brings ones. */
  *read(from: MachineDevice, address: FabricAddr, sizeBytes: number): Op<AccessResult> {
    const found = yield* this.#arrive(from, address, sizeBytes);
    if (typeof found === "string")
      return { ...this.#lost(from, address, found), bytes: new Uint8Array(sizeBytes).fill(0xff) };
    return { kind: "done", bytes: found.memory.read(address - found.base, sizeBytes) };
  }

  /** The window that takes it, asked when it arrives; or why none does. */
  *#arrive(from: MachineDevice, address: FabricAddr, sizeBytes: number): Op<Window | string> {
    if (!this.#members.has(from.fn)) return `${from.name} is not in ${this.name}`;
    if (!this.#isAwake(from.fn)) return `${from.name} sends nothing`;
    yield* point("device-fabric.arrive");
    const end = address + sizeBytes;
    const window = this.#windows.find((w) => w.base <= address && end <= w.base + w.memory.sizeBytes);
    if (!window) return `${hex(address)} is nobody's in ${this.name}`;
    return this.#isAwake(window.owner) ? window : `${window.owner.address} does not answer`;
  }

  /** Decode and bus mastering are PCI's; a fabric needs the device itself. */
  #isAwake(fn: PciFunction): boolean {
    const { power, removed, resetting } = this.#machine.functions.of(fn);
    return power === "D0" && !removed && !resetting;
  }

  #lost(from: MachineDevice, address: FabricAddr, reason: string): { readonly kind: "lost"; readonly reason: string } {
    this.#machine.trace.emit("access", () => `${from.name} in ${this.name} at ${hex(address)}: lost, ${reason}`);
    return { kind: "lost", reason };
  }
}

function ownMemory(sizeBytes: number): FabricMemory {
  // Megabytes, of which many runs touch none.
  let made: Uint8Array | null = null;
  const bytes = (): Uint8Array => (made ??= new Uint8Array(sizeBytes));
  return {
    sizeBytes,
    read: (at, length) => bytes().slice(at, at + length),
    write: (at, written) => bytes().set(written, at),
  };
}
