/** Collects evidence while a machine runs. Accesses come from the machine itself; the rest is marked by whoever does it. */
import { DmaBufError, type Op, type Space } from "@dma-buf/core";
import type { AttributeRecord } from "./attributes.js";
import type { Arrival } from "./delivery.js";
import type {
  Evidence,
  FencedWork,
  GivenAddress,
  MappedRanges,
  Moment,
  PhysRange,
  RefusedOp,
  Revocation,
  SurfaceStage,
  Turn,
} from "./invariants-evidence.js";
import type { Machine } from "./machine.js";
import type { PrivateSpan } from "./private.js";

type Open<T> = { -readonly [K in keyof T]: T[K] };

/** The marks of one revoke. */
export interface RevocationMarks {
  /** No importer is left. */
  drained(): void;
  restored(): void;
  promiseBroken(who: string): void;
}

/** The marks of one piece of work. */
export interface FenceMarks {
  retired(): void;
  renewed(): void;
}

export class EvidenceLog implements Evidence {
  readonly given: GivenAddress[] = [];
  readonly revocations: Revocation[] = [];
  readonly fenced: FencedWork[] = [];
  readonly refused: RefusedOp[] = [];
  readonly mapped: MappedRanges[] = [];
  readonly turns: Turn[] = [];
  books: Evidence["books"] = null;
  readonly #machine: Machine;
  readonly #before: Readonly<Record<string, number>>;

  /** The books open here. Register what the machine does not count with `machine.resources` before. */
  constructor(machine: Machine) {
    this.#machine = machine;
    this.#before = machine.resources.read();
  }

  get arrivals(): readonly Arrival[] {
    return this.#machine.arrivals;
  }

  get attributes(): readonly AttributeRecord[] {
    return this.#machine.attributes.records;
  }

  get privateSpans(): readonly PrivateSpan[] {
    return this.#machine.private.spans;
  }

  /** Now. */
  get moment(): Moment {
    return { step: this.#machine.trace.scheduler.steps, arrivals: this.#machine.arrivals.length };
  }

  /** An address was made. Call what is returned when it is taken back. */
  addressGiven(space: Space, base: number, sizeBytes: number): () => void {
    const entry: Open<GivenAddress> = { space, base, sizeBytes, from: this.moment, until: null };
    this.given.push(entry);
    return () => void (entry.until = this.moment);
  }

  /** A revoke begins. */
  revoke(name: string, ranges: readonly PhysRange[], owners: readonly string[] = []): RevocationMarks {
    const entry: Open<Revocation> = {
      name,
      ranges,
      owners,
      began: this.moment,
      drained: null,
      restored: null,
      promiseBroken: null,
    };
    this.revocations.push(entry);
    return {
      drained: () => void (entry.drained = this.moment),
      restored: () => void (entry.restored = this.moment),
      promiseBroken: (who) => void (entry.promiseBroken = who),
    };
  }

  /** `by` begins work on `ranges` that a fence stands for. */
  work(name: string, by: string, ranges: readonly PhysRange[]): FenceMarks {
    const entry: Open<FencedWork> = { name, by, ranges, retired: null, renewed: null };
    this.fenced.push(entry);
    return {
      retired: () => void (entry.retired = this.moment),
      renewed: () => void (entry.renewed = this.moment),
    };
  }

  /**
   * Runs an operation; if it is refused, notes what it left behind, and throws the error on. What other tasks take or
   * give back meanwhile is counted too: watch one operation at a time.
   * @param known the earliest stage at which the fact that refuses it is known
   */
  *watch<T>(op: string, by: string, run: () => Op<T>, known: SurfaceStage | null = null): Op<T> {
    const before = this.#machine.resources.read();
    try {
      return yield* run();
    } catch (error) {
      if (error instanceof DmaBufError) {
        const { code, stage } = error;
        const after = this.#machine.resources.read();
        this.refused.push({ op, by, code, surfaced: stage, known, before, after, step: this.moment.step });
      }
      throw error;
    }
  }

  /** A fact that was known at `known` and came out only when an access went wrong. */
  surfacedAtAccess(op: string, by: string, known: SurfaceStage): void {
    const now = this.#machine.resources.read();
    const { step } = this.moment;
    this.refused.push({ op, by, code: null, surfaced: "access", known, before: now, after: now, step });
  }

  /** An importer mapped a buffer, or a part of it. */
  maps(by: string, exported: readonly PhysRange[], mapped: readonly PhysRange[]): void {
    this.mapped.push({ by, exported, mapped, step: this.moment.step });
  }

  took(kind: string, id: string, by: string): void {
    this.turns.push({ kind, id, by, change: 1, step: this.moment.step });
  }

  gaveBack(kind: string, id: string, by: string): void {
    this.turns.push({ kind, id, by, change: -1, step: this.moment.step });
  }

  /** Everybody has given back what they took, or should have. */
  close(): void {
    this.books = { before: this.#before, after: this.#machine.resources.read(), step: this.moment.step };
  }
}
