/** The GPU's TLB: it answers what it once saw until it is flushed, and a flush ends when what used the old answers ended. */
import { hex, type Op, point, until } from "@dma-buf/core";
import { type Access, entryLog2, type PageTable, type Protection } from "@dma-buf/page-table";

const PAGE_BYTES = 2 ** entryLog2(0);

/** A translation: of which page, to where, and what it allows. */
interface Known {
  readonly address: number;
  readonly protection: Protection;
}

/** Where an access goes: an address on the bus, or, with `deviceMemory`, one of a fabric. */
export interface Translated {
  readonly kind: "hit";
  readonly address: number;
  readonly deviceMemory: boolean;
}
export type Translation = Translated | { readonly kind: "fault"; readonly reason: string };

export class GpuTlb {
  readonly #table: PageTable;
  readonly #known = new Map<number, Known>();
  /** Accesses on their way that were translated before now. */
  readonly #flights = new Set<object>();

  constructor(table: PageTable) {
    this.#table = table;
  }

  /** As the hardware does it: a permission that is missing is looked up again, a page that is not there is not kept. */
  translate(va: number, access: Access): Translation {
    const page = Math.floor(va / PAGE_BYTES);
    const known = this.#known.get(page);
    if (known?.protection[access]) return at(known, va);
    const found = this.#table.translate(va, access);
    if (found.kind === "fault") return { kind: "fault", reason: `${found.reason} at ${hex(va)}: ${found.detail}` };
    const fresh = { address: found.physical - (va % PAGE_BYTES), protection: found.protection };
    this.#known.set(page, fresh);
    return at(fresh, va);
  }

  /** What {@link translate} would answer to a read, without keeping it. */
  peek(va: number): number | null {
    const known = this.#known.get(Math.floor(va / PAGE_BYTES));
    if (known) return at(known, va).address;
    const found = this.#table.lookup(va);
    return found < 0 ? null : found;
  }

  /** An access that was translated and has not arrived. The caller ends it. */
  depart(): () => void {
    const flight = {};
    this.#flights.add(flight);
    return () => this.#flights.delete(flight);
  }

  /** Forgets everything. Over when every access that was translated before has arrived. */
  *flush(): Op<void> {
    yield* point("gpu.tlb.flush");
    this.#known.clear();
    const before = [...this.#flights];
    const left = (): number => before.filter((flight) => this.#flights.has(flight)).length;
    yield* until(
      "gpu.tlb.flush",
      () => left() === 0,
      () => `${left()} access(es) on their way`,
    );
  }
}

function at({ address, protection }: Known, va: number): Translated {
  return {
    kind: "hit",
    address: address + (va % PAGE_BYTES),
    deviceMemory: protection.deviceMemory ?? false,
  };
}
