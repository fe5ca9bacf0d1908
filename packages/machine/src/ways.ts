/** The way of every access, for whoever shows it: the ports it passed, the tables that were asked, and where it ended. */
import { hex, type PhysAddr, type Task, type Trace } from "@dma-buf/core";
import type { Access, WalkResult } from "@dma-buf/page-table";
import type { Hop } from "@dma-buf/pci";
import type { Arrival } from "./delivery.js";

/** An address that was looked up: in a table, or in what a cache remembers of it. */
export interface Lookup {
  readonly step: number;
  /** The table, as the trace calls it. */
  readonly table: string;
  readonly address: number;
  /** Where it leads; `null`: nowhere. */
  readonly physical: PhysAddr | null;
  /** The entries that were read, and why it ended; `null`: a cache answered, and no entry was read. */
  readonly walk: WalkResult | null;
}

export interface Way {
  readonly task: string;
  readonly hops: readonly Hop[];
  /** In order. One that found nothing is followed by another where somebody filled the table meanwhile. */
  readonly lookups: readonly Lookup[];
  readonly arrival: Arrival;
}

/** Writes hops and lookups into the trace, and where the trace keeps anything, collects them by access. */
export class Ways {
  readonly ended: Way[] = [];
  readonly trace: Trace;
  /** What each task has passed since its last access ended. */
  readonly #open = new Map<Task | null, { readonly hops: Hop[]; readonly lookups: Lookup[] }>();

  constructor(trace: Trace) {
    this.trace = trace;
  }

  /** A device's access begins: what this task looked up in vain before is no part of it. */
  begin(): void {
    this.#open.delete(this.trace.scheduler.current);
  }

  hop(hop: Hop): void {
    this.trace.emit("route", () => `${hop.at}: ${hop.action}`);
    if (this.trace.enabled) this.#passed.hops.push(hop);
  }

  /** `cache` answered for `table`, and nobody read an entry. */
  cached(table: string, address: number, physical: PhysAddr, cache: string): void {
    this.trace.emit("walk", () => `${table}: ${hex(address)} answered by the ${cache}`);
    this.#lookup(table, address, physical, null);
  }

  /** Entries were read. */
  walked(table: string, address: number, access: Access, walk: WalkResult): void {
    this.trace.emit("walk", () =>
      walk.kind === "fault"
        ? `${table}: ${hex(address)} ${access}: ${walk.reason} at level ${walk.level}`
        : `${table}: ${hex(address)} -> ${hex(walk.physical)}, leaf of ${walk.leafSizeBytes} bytes`,
    );
    this.#lookup(table, address, walk.kind === "hit" ? walk.physical : null, walk);
  }

  /** The access of this task ended. */
  end(arrival: Arrival): void {
    if (!this.trace.enabled) return;
    const { current } = this.trace.scheduler;
    this.ended.push({ task: current?.name ?? "set-up", ...this.#passed, arrival });
    this.#open.delete(current);
  }

  #lookup(table: string, address: number, physical: PhysAddr | null, walk: WalkResult | null): void {
    if (this.trace.enabled)
      this.#passed.lookups.push({ step: this.trace.scheduler.steps, table, address, physical, walk });
  }

  get #passed(): { readonly hops: Hop[]; readonly lookups: Lookup[] } {
    const { current } = this.trace.scheduler;
    const known = this.#open.get(current);
    if (known) return known;
    const passed = { hops: [], lookups: [] };
    this.#open.set(current, passed);
    return passed;
  }
}
