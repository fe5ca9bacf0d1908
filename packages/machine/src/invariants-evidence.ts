/**
 * What the invariants are checked against: what happened on the machine, and marks that say when somebody gave memory
 * away or took it back. No verdict is in here. {@link EvidenceLog} collects it; a test may write it down by hand.
 */
import type { ErrnoName, Space, Stage } from "@dma-buf/core";
import type { AttributeRecord } from "./attributes.js";
import type { Arrival } from "./delivery.js";
import type { Counts } from "./ledger.js";
import type { PrivateSpan } from "./private.js";

/** A point in the run. Within one step, the number of arrivals so far orders marks and accesses exactly. */
export interface Moment {
  readonly step: number;
  readonly arrivals: number;
}

/** CPU-physical, bytes. */
export interface PhysRange {
  readonly base: number;
  readonly sizeBytes: number;
}

/** An address that somebody made for a device to use: `dma_map_phys()`, an exporter's bus address, an IOAS area. */
export interface GivenAddress {
  readonly space: Space;
  readonly base: number;
  readonly sizeBytes: number;
  readonly from: Moment;
  /** `null`: still given. */
  readonly until: Moment | null;
}

/** A revoke, from its first callback to the end of its drain. */
export interface Revocation {
  readonly name: string;
  readonly ranges: readonly PhysRange[];
  /** Who may still access, devices or VMs: those that the memory goes back to. */
  readonly owners: readonly string[];
  readonly began: Moment;
  /** The exporter went on: no importer is left. `null`: it still waits. */
  readonly drained: Moment | null;
  /** Given out again. */
  readonly restored: Moment | null;
  /** An importer that never does what the contract asks of it; then nobody can promise an end. */
  readonly promiseBroken: string | null;
}

/** Work of one device on some ranges, and the fence that says it is done. */
export interface FencedWork {
  readonly name: string;
  readonly by: string;
  readonly ranges: readonly PhysRange[];
  /** The fence signalled. */
  readonly retired: Moment | null;
  /** The next work of that device on these ranges began. */
  readonly renewed: Moment | null;
}

/** The stages of an import in order, and `access`: no errno came, bytes were lost. */
export type SurfaceStage = Stage | "access";

/** An operation that was refused, with what was out before and after it. */
export interface RefusedOp {
  readonly op: string;
  readonly by: string;
  readonly code: ErrnoName | null;
  readonly surfaced: SurfaceStage;
  /** The earliest stage at which the fact that refuses it was known; `null` where nobody said. */
  readonly known: SurfaceStage | null;
  readonly before: Counts;
  readonly after: Counts;
  readonly step: number;
}

/** What one importer mapped of one buffer, against what was exported. */
export interface MappedRanges {
  readonly by: string;
  readonly exported: readonly PhysRange[];
  readonly mapped: readonly PhysRange[];
  readonly step: number;
}

/** Something taken (+1) or given back (-1): a map, a pin, a reference. */
export interface Turn {
  readonly kind: string;
  readonly id: string;
  readonly by: string;
  readonly change: 1 | -1;
  readonly step: number;
}

export interface Evidence {
  readonly arrivals: readonly Arrival[];
  readonly attributes: readonly AttributeRecord[];
  readonly privateSpans: readonly PrivateSpan[];
  readonly given: readonly GivenAddress[];
  readonly revocations: readonly Revocation[];
  readonly fenced: readonly FencedWork[];
  readonly refused: readonly RefusedOp[];
  readonly mapped: readonly MappedRanges[];
  readonly turns: readonly Turn[];
  /** Counts at the beginning, and when everybody should have given back what they took. */
  readonly books: { readonly before: Counts; readonly after: Counts; readonly step: number } | null;
}

/** Do `sizeBytes` from `at` have a byte in one of the ranges? */
export function touches(ranges: readonly PhysRange[], at: number, sizeBytes: number): boolean {
  return ranges.some((r) => r.base < at + sizeBytes && at < r.base + r.sizeBytes);
}
