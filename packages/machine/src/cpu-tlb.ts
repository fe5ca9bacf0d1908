/** A CPU's TLB: it answers what it once saw until it is flushed, whatever the table says since. */
import { PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import {
  type Access,
  type Format,
  type MemoryType,
  type Protection,
  walk,
  type WalkMemory,
  type WalkRoot,
} from "@dma-buf/page-table";
import type { Ways } from "./ways.js";

/** Where an address leads, and who said so. */
export type CpuTranslation =
  | { readonly kind: "hit"; readonly physical: PhysAddr; readonly from: "tlb" | "table"; readonly isCached: boolean }
  | { readonly kind: "fault"; readonly reason: string };

/** What a TLB stands in front of. */
export interface CpuTlbInit {
  /** For the trace. */
  readonly name: string;
  readonly format: Format;
  /** Asked anew for each walk: a table that grows has another root then. */
  readonly root: WalkRoot;
  readonly memory: WalkMemory;
  readonly ways: Ways;
  /** Asked of each page that is cached: by which type does the CPU reach it? */
  readonly typeOf: (physical: PhysAddr, protection: Protection) => MemoryType;
}

interface CachedPage {
  readonly physical: number;
  readonly protection: Protection;
  /** Do the CPU's caches answer for it? */
  readonly isCached: boolean;
}

export class CpuTlb {
  readonly #init: CpuTlbInit;
  readonly #pages = new Map<number, CachedPage>();

  constructor(init: CpuTlbInit) {
    this.#init = init;
  }

  /** The cache first; then a walk of the entries in memory, whose result is cached. */
  translate(address: number, access: Access): CpuTranslation {
    const { name, ways } = this.#init;
    const cached = this.#pages.get(Math.floor(address / PAGE_SIZE));
    // What a cached page does not allow is walked again: its entry may have changed since.
    if (!cached?.protection[access]) return this.#walk(address, access);
    const physical = (cached.physical + (address % PAGE_SIZE)) as PhysAddr;
    ways.cached(name, address, physical, "TLB");
    return { kind: "hit", physical, from: "tlb", isCached: cached.isCached };
  }

  flush(): void {
    this.#init.ways.trace.emit("store", () => `${this.#init.name}: TLB flushed`);
    this.#pages.clear();
  }

  /** Cached pages: zero after a flush. */
  get cached(): number {
    return this.#pages.size;
  }

  #walk(address: number, access: Access): CpuTranslation {
    const { name, ways, format, memory, root, typeOf } = this.#init;
    const found = walk(format, memory, root, address, access);
    ways.walked(name, address, access, found);
    if (found.kind === "fault") return { kind: "fault", reason: `${found.reason} at level ${found.level}` };
    const { physical, protection } = found;
    const page = (physical - (physical % PAGE_SIZE)) as PhysAddr;
    const isCached = typeOf(page, protection) === "wb";
    this.#pages.set(Math.floor(address / PAGE_SIZE), { physical: page, protection, isCached });
    return { kind: "hit", physical, from: "table", isCached };
  }
}
