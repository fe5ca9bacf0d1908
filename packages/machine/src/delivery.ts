/** A request from its sender to its end: how it was sent, where it is bound for, and how it ended. */
import type { PhysAddr, Space } from "@dma-buf/core";
import type { Bar, PciFunction } from "@dma-buf/pci";
import type { Answer } from "./function-registers.js";

/** How a request was sent. */
export interface Issued {
  readonly step: number;
  /** The number on the wire. A CPU's is physical. */
  readonly address: number;
  /** The spaces in which that wire takes a number; empty for a CPU. */
  readonly wire: readonly Space[];
  /** By which path it comes to private memory, where that is not the sender's name: a CPU's, or a vCPU's. */
  readonly trust?: string;
}

/** Where a request is bound for, before it gets there. */
export type Destination =
  | { readonly kind: "ram"; readonly physical: PhysAddr }
  | { readonly kind: "bar"; readonly fn: PciFunction; readonly bar: Bar; readonly offset: number }
  | { readonly kind: "nowhere"; readonly at: string; readonly reason: string; readonly answer?: Answer };

/**
 * Where a request ended. `snoops`: a leaf said write-back, so that the CPUs' caches are looked into where devices do not
 * anyway.
 */
export type Delivery = { readonly issued?: Issued } & (
  | { readonly kind: "memory"; readonly physical: PhysAddr; readonly target: "ram" | "mmio"; readonly snoops?: boolean }
  | { readonly kind: "fault"; readonly by: string; readonly reason: string }
  /**
   * `answer` is what a read learns; not given, it is an unsupported request. A write learns nothing. `at`: the port, or the
   * host bridge, that did not send it on; without it, where it was bound for did not take it.
   */
  | { readonly kind: "lost"; readonly reason: string; readonly answer?: Answer; readonly at?: string }
);

/** A request that reached memory, or was lost on its way: the evidence that verdicts are derived from. */
export interface Arrival {
  /** When it arrived. {@link Issued.step} is when it was sent. */
  readonly step: number;
  readonly by: string;
  readonly access: "read" | "write";
  readonly physical: PhysAddr | null;
  readonly target: "ram" | "mmio" | "nothing";
  readonly sizeBytes: number;
  /** Why it reached nothing, and where on the way, if it was there. */
  readonly reason?: string;
  readonly at?: string;
  readonly issued?: Issued;
}
