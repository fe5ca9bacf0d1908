/** What happened, in order: the evidence behind a verdict. */
import type { Scheduler } from "./scheduler.js";

/** What kind of thing happened. */
export type TraceKind =
  | "tracepoint" // an event of the kernel's `dma_buf` system, in its format
  | "call" // a dma-buf or importer call is entered
  | "return" // it came back
  | "refused" // it came back with an errno
  | "lock"
  | "unlock"
  | "fence" // a fence was added, or signalled
  | "callback" // into a plugin
  | "store" // a page-table entry is written
  | "walk" // a page table was walked by hardware
  | "route" // a hop of a request through the PCI fabric
  | "access" // a device or a CPU reads or writes, and how that ended
  | "event" // revoke begins, revoke is done
  | "finding";

/** One thing that happened. */
export interface TraceEvent {
  readonly step: number;
  readonly task: string;
  readonly kind: TraceKind;
  /** One line. */
  readonly text: string;
}

/**
 * An append-only log. `enabled: false` keeps nothing: what a search of many orders uses.
 * @example
 * framework.trace.events.filter((e) => e.kind === "tracepoint").map((e) => e.text.split(":")[0]); // ["dma_buf_export", "dma_buf_dynamic_attach"]
 */
export class Trace {
  readonly events: TraceEvent[] = [];
  readonly scheduler: Scheduler;
  /** Is anything kept? */
  readonly enabled: boolean;

  constructor(scheduler: Scheduler, enabled = true) {
    this.scheduler = scheduler;
    this.enabled = enabled;
  }

  /** `text` is a function so that a disabled trace costs no formatting. */
  emit(kind: TraceKind, text: () => string): void {
    if (!this.enabled) return;
    const { current, steps } = this.scheduler;
    this.events.push({ step: steps, task: current?.name ?? "set-up", kind, text: text() });
  }
}
