/**
 * What executes: a CPU, or a vCPU that is in its guest. It translates through its TLB, loads and stores, and answers
 * the interrupt by which others have it flush.
 */
import { type AccessResult, PAGE_SIZE, type PhysAddr, type Op, point, until } from "@dma-buf/core";
import type { CpuCache } from "./cpu-cache.js";
import { CpuTlb, type CpuTlbInit, type CpuTranslation } from "./cpu-tlb.js";
import type { Delivery } from "./delivery.js";
import { finish } from "./device.js";
import type { Answer } from "./function-registers.js";
import type { Machine } from "./machine.js";

/** A load that nobody answered gives ones, as on x86; of a store that was lost, software learns nothing. */
export type CpuResult =
  | Exclude<AccessResult, { kind: "lost" }>
  | { readonly kind: "lost"; readonly reason: string; readonly answer?: Answer; readonly bytes: Uint8Array };

/** As {@link CpuResult}, or the table has no entry that allows it. Pages before the one that faulted were accessed. */
export type ThreadResult = CpuResult | { readonly kind: "no-entry"; readonly reason: string };

export interface CpuThreadInit extends Omit<CpuTlbInit, "memory" | "ways"> {
  readonly machine: Machine;
  /** By which path it comes to memory that is private. */
  readonly trust: string;
  /** Who is booked. */
  readonly by: string;
}

type Hit = Extract<CpuTranslation, { readonly kind: "hit" }>;

export class CpuThread {
  readonly #init: CpuThreadInit;
  readonly #tlb: CpuTlb;
  #loads = 0;
  #flushWanted = false;
  #stopped = false;

  constructor(init: CpuThreadInit) {
    this.#init = init;
    const { memory, ways } = init.machine;
    this.#tlb = new CpuTlb({ ...init, memory, ways });
    init.machine.resources.register("tlbEntries", () => this.#tlb.cached);
  }

  /** Stores `what`, or loads so many bytes, to execute them if `load` says so; page by page, each of which may fault. */
  *access(address: number, what: Uint8Array | number, load: "read" | "execute" = "read"): Op<ThreadResult> {
    const sizeBytes = typeof what === "number" ? what : what.length;
    const access = typeof what === "number" ? load : "write";
    const loaded = new Uint8Array(access === "write" ? 0 : sizeBytes);
    for (let at = 0; at < sizeBytes; ) {
      const length = Math.min(PAGE_SIZE - ((address + at) % PAGE_SIZE), sizeBytes - at);
      if (this.#stopped) return this.#exit("its page table was destroyed");
      const found = this.#tlb.translate(address + at, access);
      if (found.kind === "fault") return this.#exit(found.reason);
      const result = yield* typeof what === "number"
        ? this.#load(found, length)
        : this.#store(found, what.subarray(at, at + length));
      if (result.kind !== "done") return result;
      if (typeof what === "number") loaded.set(result.bytes, at);
      at += length;
    }
    return { kind: "done", bytes: loaded };
  }

  /** Sets the request bit. It has no effect before {@link kick}, or before the thread leaves by itself. */
  requestFlush(): void {
    this.#flushWanted = true;
  }

  /**
   * Interrupts the thread and sleeps until it has flushed. A load that is on its way ends first; a store has left the
   * CPU and may arrive later: no interrupt drains the fabric.
   */
  *kick(site: string): Op<void> {
    yield* point(site);
    yield* until(
      `${site}.ack`,
      () => this.#loads === 0,
      () => `a load of ${this.#init.by}`,
    );
    this.#flush();
  }

  /** Its table is gone, and others may have the memory: nothing is cached or walked from here on. */
  stop(): void {
    this.#stopped = true;
    this.#flush();
  }

  /** Cached translations. */
  get cached(): number {
    return this.#tlb.cached;
  }

  /** A fault leaves to the kernel, and on the way back requests are looked at. */
  #exit(reason: string): ThreadResult {
    if (this.#flushWanted) this.#flush();
    return { kind: "no-entry", reason };
  }

  #flush(): void {
    this.#flushWanted = false;
    this.#tlb.flush();
  }

  *#load({ physical, isCached }: Hit, sizeBytes: number): Op<CpuResult> {
    this.#loads++;
    try {
      const delivery = yield* this.#travel(physical, "read");
      const bytes =
        delivery.kind === "memory"
          ? this.#memory(isCached).read(delivery.physical, sizeBytes)
          : new Uint8Array(sizeBytes).fill(0xff);
      return this.#ended(delivery, "read", sizeBytes, bytes);
    } finally {
      this.#loads--;
    }
  }

  *#store({ physical, isCached }: Hit, bytes: Uint8Array): Op<CpuResult> {
    const delivery = yield* this.#travel(physical, "write");
    if (delivery.kind === "memory") this.#memory(isCached).write(delivery.physical, bytes);
    return this.#ended(delivery, "write", bytes.length, new Uint8Array(0));
  }

  /** What an access meets first: the caches, where the machine has any that somebody could miss. */
  #memory(isCached: boolean): Pick<CpuCache, "read" | "write"> {
    const { cpuCache, memory } = this.#init.machine;
    return isCached && cpuCache ? cpuCache : memory;
  }

  /** RAM is coherent, and at once; device memory is a way off, and is decoded when the request gets there. */
  *#travel(physical: PhysAddr, access: "read" | "write"): Op<Delivery> {
    const { machine, trust } = this.#init;
    const issued = { step: machine.trace.scheduler.steps, address: physical, wire: [], trust };
    const to = machine.destination(physical);
    if (to.kind === "bar" && access === "write") yield* posted(machine.functions.of(to.fn));
    else if (to.kind !== "ram") yield* point("fabric.arrive");
    return { ...machine.land(to, trust), issued };
  }

  #ended(delivery: Delivery, access: "read" | "write", sizeBytes: number, bytes: Uint8Array): CpuResult {
    const { machine, by } = this.#init;
    const result = finish(machine, by, delivery, access, sizeBytes, bytes);
    if (result.kind !== "lost") return result;
    return { ...result, ...(delivery.kind === "lost" && delivery.answer ? { answer: delivery.answer } : {}), bytes };
  }
}

/** Stores to a function are counted while they travel: a configuration write pushes them in front. */
function* posted(state: { posted: number }): Op<void> {
  state.posted++;
  try {
    yield* point("fabric.arrive");
  } finally {
    state.posted--;
  }
}
