/**
 * A promise that a plugin broke, with the requirement it breaks. Not an exception: the run goes on as the kernel
 * would, and the verdict is what then happens.
 */
export interface Finding {
  /** `warn`: the kernel's `WARN_ON`. `violation`: silent in a production kernel. `bug`: the kernel's `BUG_ON`, an oops. */
  readonly level: "warn" | "violation" | "bug";
  /** The requirement's id, as in a contract's rows: `dma-address/attach`. */
  readonly requirement: string;
  /** Who broke it. */
  readonly party: "exporter" | "importer" | "framework";
  readonly message: string;
  /** Where the requirement is written down. */
  readonly source: string;
  /** The task in whose step it was seen. */
  readonly task: string;
  readonly step: number;
}

/**
 * Ends a task that ran into a `BUG_ON`; the finding was reported before.
 * @example
 * const task = scheduler.spawn("importer", framework.endAccess(null, "to-device"));
 * scheduler.run();
 * task.error instanceof BugSignal; // true
 * framework.findings.map((f) => f.level); // ["warn", "bug"]
 */
export class BugSignal extends Error {
  override readonly name = "BugSignal";
}
