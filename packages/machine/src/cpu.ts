/** A CPU of the host with an address space of its own: what a process or the kernel maps, and reads and writes there. */
import { type Op, type PhysAddr, point } from "@dma-buf/core";
import type { MemoryType, PageTable } from "@dma-buf/page-table";
import { x86Pat } from "./cpu-format.js";
import { type CpuResult, CpuThread } from "./cpu-thread.js";
import type { Machine } from "./machine.js";
import { hostPath } from "./private.js";

/** As any access of a CPU, or a page fault: what SIGSEGV or SIGBUS is made of. */
export type CpuAccess = CpuResult | { readonly kind: "page-fault"; readonly reason: string };

/** How a CPU maps a range. */
export interface CpuMapping {
  /** @defaultValue true */
  readonly write?: boolean;
  /** Linux: `pgprot_noncached()` is `uc`, `pgprot_writecombine()` is `wc`. */
  readonly cache: MemoryType;
}

export class Cpu {
  readonly name: string;
  /** The first stage: {@link map} and {@link unmap} write it, the CPU walks it. */
  readonly table: PageTable;
  readonly #machine: Machine;
  readonly #thread: CpuThread;

  constructor(machine: Machine, name: string) {
    this.name = name;
    this.#machine = machine;
    this.table = machine.pageTable(`page table of ${name}`, x86Pat);
    this.#thread = new CpuThread({
      machine,
      name: `page table of ${name}`,
      by: name,
      trust: hostPath(name),
      format: x86Pat,
      root: this.table,
      // The mapping was booked when it was made.
      typeOf: (_physical, { cache = "wb" }) => cache,
    });
    machine.resources.register("cpuMappedBytes", () => mappedBytes(this.table));
  }

  /**
   * Maps `[physical, physical + sizeBytes)` at `va`, and books the memory type against the owner's.
   * @throws DmaBufError as `PageTable.map`: `EINVAL` empty, or a type that the format has not · `ENXIO` not page aligned ·
   * `EADDRINUSE` something is mapped there · `ERANGE`, `EOVERFLOW`, `ENOMEM`
   */
  map(va: number, physical: PhysAddr, sizeBytes: number, { cache, write = true }: CpuMapping): void {
    this.table.map(va, physical, sizeBytes, { read: true, write, execute: false, cache });
    const { attributes, trace } = this.#machine;
    attributes.book({ step: trace.scheduler.steps, by: this.name, physical, sizeBytes, mapped: cache });
  }

  /** Clears the entries. The TLB still answers until {@link flushTlb} is through. Returns the bytes that were mapped. */
  unmap(va: number, sizeBytes: number): number {
    return this.table.unmap(va, sizeBytes);
  }

  /** Asks for the flush, and sleeps until it is done. */
  *flushTlb(): Op<void> {
    yield* point("cpu.flush_tlb");
    this.#thread.requestFlush();
    yield* this.#thread.kick("cpu.flush_tlb.kick");
  }

  /** Stores. Sleeps before the walk, and on the way to device memory. */
  *write(va: number, bytes: Uint8Array): Op<CpuAccess> {
    return yield* this.#access(va, bytes);
  }

  /** Loads. What nobody answers is ones. */
  *read(va: number, sizeBytes: number): Op<CpuAccess> {
    return yield* this.#access(va, sizeBytes);
  }

  /** Gives the table back, and what the TLB holds of it. Every access is a page fault from here on. */
  destroy(): void {
    this.table.destroy();
    this.#thread.stop();
  }

  *#access(va: number, what: Uint8Array | number): Op<CpuAccess> {
    yield* point("cpu.access");
    const result = yield* this.#thread.access(va, what);
    return result.kind === "no-entry" ? { ...result, kind: "page-fault" } : result;
  }
}

function mappedBytes(table: PageTable): number {
  let sum = 0;
  for (const leaf of table.leaves()) sum += leaf.sizeBytes;
  return sum;
}
