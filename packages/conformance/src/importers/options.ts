/** The classes by name, and what each importer is made of. */
import type { DmaBufAttachment, Framework, Op, Run, Window } from "@dma-buf/core";

/**
 * What an importer does when it is told that the memory goes.
 * - `zap`: drops its translation in the callback and waits there for what is in flight (KVM, iommufd).
 * - `fenced`: a fence in the reservation covers its accesses; the translation goes after the fence (GPU).
 * - `faulting`: drops its translation in the callback; what is in flight faults and looks again (on-demand paging).
 * - `pinned`: pins, and brings no callback (plain RDMA).
 * - `pinned-revocable`: pins, and its callback stops it for ever.
 * - `static`: attaches without operations.
 */
export type ImporterClass = "zap" | "fenced" | "faulting" | "pinned" | "pinned-revocable" | "static";

/** A device's access, at the instant at which it arrives. */
export interface Access {
  readonly importer: string;
  /** What the importer was told. */
  readonly run: Run;
  /** When it was told, in steps of the scheduler. */
  readonly lookedUpStep: number;
}

/** What an importer of a class is made of. */
export interface ClassImporterOptions {
  readonly framework: Framework;
  /** Called for each run, in the step in which an access to it arrives. */
  readonly arrived: (access: Access) => void;
  /** How much of the buffer it looks at, from its beginning. @defaultValue all of it */
  readonly sizeBytes?: number;
  /** Called last in its callback, for one that throws. */
  readonly told?: () => void;
  /** How it comes to see the buffer. @defaultValue as its contract has it */
  readonly look?: (attachment: DmaBufAttachment) => Op<Window>;
}

/** What an importer knows: where the buffer lies, and when it was told, in steps. */
export interface Translation {
  readonly runs: readonly Run[];
  readonly step: number;
}
