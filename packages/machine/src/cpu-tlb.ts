/** A CPU's TLB: it answers what it once saw until it is flushed, whatever the table says since. */
import { hex, PAGE_SIZE, type PhysAddr, type Trace } from "@dma-buf/core";
import { type Access, type Format, type Protection, walk, type WalkMemory, type WalkRoot } from "@dma-buf/page-table";

/** Where an address leads, and who said so. */
export type CpuTranslation =
  | { readonly kind: "hit"; readonly physical: PhysAddr; readonly from: "tlb" | "table" }
  | { readonly kind: "fault"; readonly reason: string };

/** What a TLB stands in front of. */
export interface CpuTlbInit {
  /** For the trace. */
  readonly name: string;
  readonly format: Format;
  /** Asked anew for each walk: a table that grows has another root then. */
  readonly root: WalkRoot;
  readonly memory: WalkMemory;
  readonly trace: Trace;
  /** Told of each page that is cached. */
  readonly onFill: (physical: PhysAddr, protection: Protection) => void;
}

export class CpuTlb {
  readonly #init: CpuTlbInit;
  readonly #pages = new Map<number, { readonly physical: number; readonly protection: Protection }>();

  constructor(init: CpuTlbInit) {
    this.#init = init;
  }

  /** The cache first; then a walk of the entries in memory, whose result is cached. */
  translate(address: number, access: Access): CpuTranslation {
    const { name, trace } = this.#init;
    const cached = this.#pages.get(Math.floor(address / PAGE_SIZE));
    // What a cached page does not allow is walked again: its entry may have changed since.
    if (!cached?.protection[access]) return this.#walk(address, access);
    trace.emit("walk", () => `${name}: ${hex(address)} answered by the TLB`);
    return { kind: "hit", physical: (cached.physical + (address % PAGE_SIZE)) as PhysAddr, from: "tlb" };
  }

  flush(): void {
    this.#init.trace.emit("store", () => `${this.#init.name}: TLB flushed`);
    this.#pages.clear();
  }

  /** Cached pages: zero after a flush. */
  get cached(): number {
    return this.#pages.size;
  }

  #walk(address: number, access: Access): CpuTranslation {
    const { name, trace, format, memory, root, onFill } = this.#init;
    const found = walk(format, memory, root, address, access);
    if (found.kind === "fault") {
      const reason = `${found.reason} at level ${found.level}`;
      trace.emit("walk", () => `${name}: ${hex(address)} ${access}: ${reason}`);
      return { kind: "fault", reason };
    }
    const { physical, protection, leafSizeBytes } = found;
    trace.emit("walk", () => `${name}: ${hex(address)} -> ${hex(physical)}, leaf of ${leafSizeBytes} bytes`);
    const page = (physical - (physical % PAGE_SIZE)) as PhysAddr;
    this.#pages.set(Math.floor(address / PAGE_SIZE), { physical: page, protection });
    onFill(page, protection);
    return { kind: "hit", physical, from: "table" };
  }
}
