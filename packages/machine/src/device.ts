/** A PCI function that reads and writes by DMA. */
import {
  type AccessResult,
  addr,
  type BusAddr,
  type Device,
  type DmaAddr,
  hex,
  type Op,
  PAGE_SIZE,
  point,
  type Space,
} from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import type { Delivery } from "./delivery.js";
import type { DeviceDma } from "./dma/device-dma.js";
import { spacesOf } from "./iommu/domain.js";
import type { Machine } from "./machine.js";

const NONE = new Uint8Array(0);

type Reached = Extract<Delivery, { readonly kind: "memory" }>;

export class MachineDevice implements Device {
  readonly name: string;
  readonly fn: PciFunction;
  readonly dma: DeviceDma;
  /** Whoever joins a fabric is entered here by it. */
  readonly fabrics: Extract<Space, { kind: "device-private" }>[] = [];
  readonly #machine: Machine;

  constructor(machine: Machine, fn: PciFunction, dma: DeviceDma) {
    this.#machine = machine;
    this.fn = fn;
    this.name = fn.address;
    this.dma = dma;
  }

  /** Its bus, the domain that it is attached to now, and the fabrics that it is in. */
  get spaces(): readonly Space[] {
    return [...spacesOf(this.#machine.topology, this.fn, this.#machine.domainOf(this)), ...this.fabrics];
  }

  *write(address: DmaAddr | BusAddr, bytes: Uint8Array): Op<AccessResult> {
    yield* point("device.issue");
    this.#say(`writes ${bytes.length} bytes to ${hex(address)}`);
    const driven = this.#driven(address);
    let worst: AccessResult = { kind: "done", bytes: new Uint8Array(0) };
    for (const { at, length } of pieces(driven, bytes.length)) {
      const result = yield* this.#writePage(driven + at, bytes.subarray(at, at + length));
      // Writes are posted: one that was lost does not keep the next from being sent.
      if (worst.kind === "done") worst = result;
    }
    return worst;
  }

  *read(address: DmaAddr | BusAddr, sizeBytes: number): Op<AccessResult> {
    yield* point("device.issue");
    this.#say(`reads ${sizeBytes} bytes from ${hex(address)}`);
    const driven = this.#driven(address);
    const bytes = new Uint8Array(sizeBytes);
    for (const { at, length } of pieces(driven, sizeBytes)) {
      const result = yield* this.#readPage(driven + at, length);
      // The pages before keep what they brought; the rest is not asked for.
      if (result.kind === "lost" && result.bytes) return { ...result, bytes: bytes.fill(0xff, at) };
      if (result.kind !== "done") return result;
      bytes.set(result.bytes, at);
    }
    return { kind: "done", bytes };
  }

  *#writePage(address: number, bytes: Uint8Array): Op<AccessResult> {
    const delivery = yield* this.#machine.deliver(this, addr<DmaAddr>(address), "write");
    if (delivery.kind === "memory") this.#store(delivery, bytes);
    return finish(this.#machine, this.name, delivery, "write", bytes.length, new Uint8Array(0));
  }

  *#readPage(address: number, sizeBytes: number): Op<AccessResult> {
    const delivery = yield* this.#machine.deliver(this, addr<DmaAddr>(address), "read");
    const bytes = delivery.kind === "memory" ? this.#load(delivery, sizeBytes) : NONE;
    const result = finish(this.#machine, this.name, delivery, "read", sizeBytes, bytes);
    if (result.kind !== "lost" || !isUnsupported(delivery)) return result;
    return { ...result, bytes: new Uint8Array(sizeBytes).fill(0xff) };
  }

  /** What of an address gets on its bus: bits that it does not drive are zero there. */
  #driven(address: DmaAddr | BusAddr): number {
    const driven = address % 2 ** this.dma.maskBits;
    if (driven !== (address as number)) this.#say(`drives ${this.dma.maskBits} bits: ${hex(driven)}`);
    return driven;
  }

  #store({ physical, snoops = false }: Reached, bytes: Uint8Array): void {
    const { memory, cpuCache } = this.#machine;
    if (snoops) cpuCache?.invalidate(physical, bytes.length);
    memory.write(physical, bytes);
  }

  #load({ physical, snoops = false }: Reached, sizeBytes: number): Uint8Array {
    const { memory, cpuCache } = this.#machine;
    return snoops && cpuCache ? cpuCache.snoop(physical, sizeBytes) : memory.read(physical, sizeBytes);
  }

  #say(text: string): void {
    this.#machine.trace.emit("access", () => `${this.name} ${text}`);
  }
}

/** Somebody answered that nobody claims the address. A timeout or an abort brings no data. */
function isUnsupported(delivery: Delivery): boolean {
  return delivery.kind === "lost" && (delivery.answer ?? "unsupported-request") === "unsupported-request";
}

/** No request crosses a page. */
function* pieces(address: number, sizeBytes: number): Generator<{ readonly at: number; readonly length: number }> {
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(PAGE_SIZE - ((address + at) % PAGE_SIZE), sizeBytes - at);
    yield { at, length };
    at += length;
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
    ...(reached ? {} : { reason: delivery.reason }),
    ...(delivery.kind === "lost" && delivery.at ? { at: delivery.at } : {}),
    ...(delivery.issued ? { issued: delivery.issued } : {}),
  });
  machine.trace.emit("access", () =>
    reached
      ? `${by}: arrived at ${hex(delivery.physical)} (${delivery.target})`
      : `${by}: ${delivery.kind}, ${delivery.reason}`,
  );
  if (reached) return { kind: "done", bytes };
  return delivery;
}
