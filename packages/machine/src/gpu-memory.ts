/**
 * A GPU with memory of its own: VRAM of which a BAR shows all, a part, or nothing, RAM that it reaches, a copy engine, and
 * runtime power management. What an exporter of its buffers needs of the machine. A platform model, unverified.
 */
import { addr, hex, type FabricAddr, type Op, type P2pProvider, type PhysAddr, point } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import { Cpu } from "./cpu.js";
import type { DeviceFabric, FabricMemory } from "./device-fabric.js";
import { GpuBytes, type GpuPlace } from "./gpu-bytes.js";
import type { Machine } from "./machine.js";
import { PagePool, type PageBlock } from "./page-pool.js";
import type { RamRange } from "./physical.js";

/** How a GPU is made. Sizes in bytes, whole pages. */
export interface GpuMemoryOptions {
  readonly vramBytes: number;
  /** How much of VRAM, from its beginning, BAR 0 shows; at most the BAR. 0: nothing. @defaultValue all of it */
  readonly windowBytes?: number;
  /** Nobody else may use it. */
  readonly ram: RamRange;
  /** All of VRAM is shown to it; the GPU joins it. @defaultValue none */
  readonly fabric?: DeviceFabric;
}

/** Kernel mappings begin here, in a table of their own. */
const VMALLOC_BASE = 0x10_0000_0000;

export class GpuMemory {
  readonly name: string;
  readonly vramBytes: number;
  readonly window: { readonly physical: PhysAddr; readonly sizeBytes: number } | null;
  readonly provider: P2pProvider | null;
  readonly fabric: { readonly fabric: object; readonly base: FabricAddr } | null;
  readonly #machine: Machine;
  readonly #fn: PciFunction;
  readonly #pages: PagePool;
  readonly #bytes: GpuBytes;
  readonly #vmaps = new Map<number, number>();
  #kernel: Cpu | null = null;
  #runtimeRefs = 0;

  constructor(machine: Machine, address: string, options: GpuMemoryOptions) {
    const { vramBytes, windowBytes = vramBytes, ram, fabric } = options;
    this.#machine = machine;
    this.#fn = machine.topology.get(address);
    this.name = address;
    this.vramBytes = vramBytes;
    this.#pages = new PagePool(ram);
    const bar = this.#fn.bars.find((b) => b.index === 0 && b.space === "memory");
    if (windowBytes > Math.min(vramBytes, bar?.sizeBytes ?? 0))
      throw new RangeError(`a window of ${hex(windowBytes)} bytes is more than BAR 0 of ${address} or its VRAM has`);
    this.window = bar && windowBytes > 0 ? { physical: bar.base, sizeBytes: windowBytes } : null;
    this.#bytes = new GpuBytes(machine.memory, this.window, () => !machine.functions.of(this.#fn).removed);
    this.provider = bar && this.window ? machine.provider(this.#fn, bar) : null;
    this.fabric = fabric ? { fabric, base: this.#show(fabric) } : null;
    machine.resources.registerAll(() => this.ledger);
  }

  /** What was taken and not given back. */
  get ledger(): { readonly gpuPages: number; readonly gpuRuntimeRefs: number; readonly gpuVmaps: number } {
    return { gpuPages: this.#pages.used, gpuRuntimeRefs: this.#runtimeRefs, gpuVmaps: this.#vmaps.size };
  }

  /** Is it in D0? */
  get active(): boolean {
    return this.#machine.functions.power(this.#fn) === "D0";
  }

  /** Puts it to sleep, if nobody keeps it awake: was that so? */
  suspend(): boolean {
    if (this.#runtimeRefs === 0) this.#machine.functions.setPower(this.#fn, "D3hot");
    return this.#runtimeRefs === 0;
  }

  runtimeGetIfActive(): boolean {
    if (this.active) this.#runtimeRefs++;
    return this.active;
  }

  *runtimeGet(): Op<void> {
    if (!this.active) {
      yield* point("gpu.resume");
      this.#machine.functions.setPower(this.#fn, "D0");
    }
    // Counted in the step in which it is awake: who is ended before has taken nothing.
    this.#runtimeRefs++;
  }

  runtimePut(): void {
    if (this.#runtimeRefs === 0) throw new RangeError(`${this.name}: put more often than got`);
    this.#runtimeRefs--;
  }

  allocPages(pages: number): readonly PageBlock[] | null {
    return this.#pages.alloc(pages);
  }

  freePages(blocks: readonly PageBlock[]): void {
    this.#pages.free(blocks);
  }

  /** The CPU in whose address space kernel mappings are. */
  get kernel(): Cpu {
    return (this.#kernel ??= new Cpu(this.#machine, `kernel of ${this.name}`));
  }

  /** By CPU-physical address: RAM, or what the window shows. */
  vmap(blocks: readonly PageBlock[]): number {
    const first = Math.max(VMALLOC_BASE, ...Array.from(this.#vmaps, ([va, sizeBytes]) => va + sizeBytes));
    let va = first;
    for (const { start, sizeBytes } of blocks) {
      const cache = this.#machine.attributes.ownerOf(start) ?? "uc";
      this.kernel.map(va, addr<PhysAddr>(start), sizeBytes, { cache });
      va += sizeBytes;
    }
    this.#vmaps.set(first, va - first);
    return first;
  }

  vunmap(address: number): void {
    this.kernel.unmap(address, this.#vmaps.get(address) ?? 0);
    this.#vmaps.delete(address);
  }

  copy(from: GpuPlace, to: GpuPlace): Op<void> {
    return this.#bytes.copy(from, to);
  }

  wipe(place: GpuPlace): void {
    this.#bytes.wipe(place);
  }

  /** As the GPU itself reads: what is beyond the window too. */
  read(domain: GpuPlace["domain"], address: number, sizeBytes: number): Uint8Array {
    return this.#bytes.read(domain, address, sizeBytes);
  }

  write(domain: GpuPlace["domain"], address: number, bytes: Uint8Array): void {
    this.#bytes.write(domain, address, bytes);
  }

  #show(fabric: DeviceFabric): FabricAddr {
    const device = this.#machine.device(this.name);
    const vram: FabricMemory = {
      sizeBytes: this.vramBytes,
      read: (at, sizeBytes) => this.read("vram", at, sizeBytes),
      write: (at, bytes) => this.write("vram", at, bytes),
    };
    fabric.join(device);
    return fabric.show(device, vram);
  }
}
