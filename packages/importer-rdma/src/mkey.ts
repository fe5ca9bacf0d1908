/** A memory key as the device knows it: rights, a translation table, what it cached of that, and requests under way. */
import { type Op, point, until } from "@dma-buf/core";
import type { RdmaFunction } from "./host.js";
import type { RdmaGuards } from "./options.js";
import type { CheckedMr } from "./request.js";
import { type Looked, TranslationTable } from "./translation.js";

/** Who asks for an access: a work request of this host, or a peer. */
export type Side = "local" | "remote";

export class Mkey {
  readonly key: number;
  readonly request: CheckedMr;
  /** Which function sends its requests. */
  readonly issuer: RdmaFunction;
  /** Requests between look-up and end. */
  inFlight = 0;
  /** Page faults that are being handled. */
  faults = 0;
  /** The device answers with a protection error. For ever. */
  stopped = false;
  readonly #guards: RdmaGuards;
  #table: TranslationTable | null = null;
  #cache: TranslationTable | null = null;

  constructor(key: number, request: CheckedMr, issuer: RdmaFunction, guards: RdmaGuards) {
    this.key = key;
    this.request = request;
    this.issuer = issuer;
    this.#guards = guards;
  }

  get table(): TranslationTable | null {
    return this.#table;
  }

  /** Why a request is not allowed; `null`: it is. */
  whyNot(iova: number, sizeBytes: number, access: "read" | "write", side: Side): string | null {
    const { iova: base, sizeBytes: size, access: rights } = this.request;
    if (this.stopped) return `key ${this.key} was revoked: register again`;
    if (!(iova >= base && iova + sizeBytes <= base + size))
      return `${sizeBytes} bytes at ${iova} are outside the region: it has ${size} at ${base}`;
    const needed = side === "remote" ? (`remote-${access}` as const) : "local-write";
    if (side === "local" && access === "read") return null;
    return rights.includes(needed) ? null : `the region was registered without ${needed}`;
  }

  /** One look-up: in the cache, else in the table, of which the device keeps a copy. */
  look(iova: number): Looked | null {
    const cached = this.#cache?.look(iova);
    if (cached) return cached;
    const found = this.#table?.look(iova) ?? null;
    if (found && this.#table) {
      this.#cache ??= this.#table.like();
      this.#cache.copy(this.#table, iova);
    }
    return found;
  }

  /** The driver wrote a new table. */
  install(table: TranslationTable): void {
    this.#table = table;
  }

  /**
   * Takes every translation out, from the table, then from the cache, and waits for what is under way: when it returns,
   * nothing arrives any more. Linux: `mlx5r_umr_update_mr_pas(MLX5_IB_UPD_XLT_ZAP)`, whose completion says so.
   */
  *zap(): Op<void> {
    yield* point("rdma.mtt_store");
    this.#table?.zap();
    this.#table = null;
    yield* point("rdma.umr_flush");
    if (this.#guards.flush) this.#cache = null;
    if (this.#guards.drain) yield* this.idle();
  }

  /** Nothing is under way. */
  *idle(): Op<void> {
    yield* until(
      "rdma.umr_done",
      () => this.inFlight === 0,
      () => `${this.inFlight} request(s) with key ${this.key}`,
    );
  }

  /** Nobody handles a page fault. Linux: `synchronize_srcu()` of the faults. */
  *faultless(): Op<void> {
    yield* until(
      "rdma.faults_done",
      () => this.faults === 0,
      () => `${this.faults} page fault(s) of key ${this.key}`,
    );
  }
}
