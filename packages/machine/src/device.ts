/** A PCI function that reads and writes by DMA. */
import {
  type AccessResult,
  type BusAddr,
  type Device,
  type DmaAddr,
  type DmaApi,
  hex,
  type Op,
  point,
  type Space,
} from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import type { Delivery, Machine } from "./machine.js";

export class MachineDevice implements Device {
  readonly name: string;
  readonly fn: PciFunction;
  readonly dma: DmaApi;
  readonly spaces: readonly Space[];
  readonly #machine: Machine;

  constructor(machine: Machine, fn: PciFunction, dma: DmaApi, spaces: readonly Space[]) {
    this.#machine = machine;
    this.fn = fn;
    this.name = fn.address;
    this.dma = dma;
    this.spaces = spaces;
  }

  *write(address: DmaAddr | BusAddr, bytes: Uint8Array): Op<AccessResult> {
    yield* point("device.issue");
    this.#say(`writes ${bytes.length} bytes to ${hex(address)}`);
    const delivery = yield* this.#machine.deliver(this, address, "write");
    if (delivery.kind === "memory") this.#machine.memory.write(delivery.physical, bytes);
    return this.#ended(delivery, "write", bytes.length, new Uint8Array(0));
  }

  *read(address: DmaAddr | BusAddr, sizeBytes: number): Op<AccessResult> {
    yield* point("device.issue");
    this.#say(`reads ${sizeBytes} bytes from ${hex(address)}`);
    const delivery = yield* this.#machine.deliver(this, address, "read");
    const bytes =
      delivery.kind === "memory" ? this.#machine.memory.read(delivery.physical, sizeBytes) : new Uint8Array(0);
    return this.#ended(delivery, "read", sizeBytes, bytes);
  }

  #ended(delivery: Delivery, access: "read" | "write", sizeBytes: number, bytes: Uint8Array): AccessResult {
    return finish(this.#machine, this.name, delivery, access, sizeBytes, bytes);
  }

  #say(text: string): void {
    this.#machine.trace.emit("access", () => `${this.name} ${text}`);
  }
}

/** Books an access, whoever made it, and says how it ended. */
export function finish(
  machine: Machine,
  by: string,
  delivery: Delivery,
  access: "read" | "write",
  sizeBytes: number,
  bytes: Uint8Array,
): AccessResult {
  const reached = delivery.kind === "memory";
  machine.book({
    by,
    access,
    sizeBytes,
    physical: reached ? delivery.physical : null,
    target: reached ? delivery.target : "nothing",
  });
  machine.trace.emit("access", () =>
    reached
      ? `${by}: arrived at ${hex(delivery.physical)} (${delivery.target})`
      : `${by}: ${delivery.kind}, ${delivery.reason}`,
  );
  if (reached) return { kind: "done", bytes };
  return delivery;
}
