/** An IOMMU domain as hardware sees it: a table somewhere in memory, and an IOTLB in front of it. */
import { hex, PAGE_SIZE, type PhysAddr, type Trace } from "@dma-buf/core";
import { type Format, walk, type WalkRoot } from "@dma-buf/page-table";
import type { PhysicalMemory } from "./physical.js";

export type Translation =
  | { readonly kind: "hit"; readonly physical: PhysAddr; readonly from: "iotlb" | "table" }
  | { readonly kind: "fault"; readonly reason: string };

/** What caches translations of one table: an IOTLB, or a vCPU's TLB. It answers until it is flushed. */
export class TranslatedSpace {
  readonly name: string;
  readonly #root: WalkRoot;
  readonly #format: Format;
  readonly #memory: PhysicalMemory;
  readonly #trace: Trace;
  readonly #tlb = new Map<number, { physical: number; read: boolean; write: boolean }>();

  /** @param root asked anew for each walk: a table that grows has another one then */
  constructor(name: string, format: Format, root: WalkRoot, memory: PhysicalMemory, trace: Trace) {
    this.name = name;
    this.#root = root;
    this.#format = format;
    this.#memory = memory;
    this.#trace = trace;
  }

  /** One address, as hardware does it: the cache first, then a walk of the entries in memory. */
  translate(address: number, access: "read" | "write"): Translation {
    const page = Math.floor(address / PAGE_SIZE);
    const cached = this.#tlb.get(page);
    if (cached?.[access]) {
      this.#trace.emit("walk", () => `${this.name}: ${hex(address)} answered by the TLB`);
      return { kind: "hit", physical: (cached.physical + (address % PAGE_SIZE)) as PhysAddr, from: "iotlb" };
    }
    const found = walk(this.#format, this.#memory, this.#root, address, access);
    if (found.kind === "fault") {
      this.#trace.emit(
        "walk",
        () => `${this.name}: ${hex(address)} ${access}: ${found.reason} at level ${found.level}`,
      );
      return { kind: "fault", reason: `${found.reason} at level ${found.level}` };
    }
    this.#trace.emit(
      "walk",
      () => `${this.name}: ${hex(address)} -> ${hex(found.physical)}, leaf of ${found.leafSizeBytes} bytes`,
    );
    const { read, write } = found.protection;
    this.#tlb.set(page, { physical: found.physical - (found.physical % PAGE_SIZE), read, write });
    return { kind: "hit", physical: found.physical, from: "table" };
  }

  /** Forgets every cached translation. Whoever clears entries must ask for this, or the old answer stays. */
  flush(): void {
    this.#trace.emit("store", () => `${this.name}: TLB flushed`);
    this.#tlb.clear();
  }

  /** Cached translations: zero after a flush. */
  get cached(): number {
    return this.#tlb.size;
  }
}
