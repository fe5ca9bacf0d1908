/** A memory region: a umem, a key, and what its kind does when the exporter says that the memory goes. */
import { type DmaBufAttachOps, DmaBufError, type Held, type Op } from "@dma-buf/core";
import { allocation, type Driver, tableFor } from "./driver.js";
import type { RdmaFunction } from "./host.js";
import type { MemoryRegion } from "./importer.js";
import type { Mkey } from "./mkey.js";
import { refusal } from "./refuse.js";
import type { MrKind } from "./request.js";
import { Umem } from "./umem.js";

export class Mr implements MemoryRegion {
  readonly mkey: Mkey;
  readonly #driver: Driver;
  readonly #umem: Umem;
  #deregistered = false;

  /** @throws DmaBufError `ENOMEM` */
  constructor(driver: Driver, mkey: Mkey) {
    const { fw, name, conduct, guards, host, attachesFor } = driver;
    fw.env.alloc(allocation("ib_reg_user_mr_dmabuf"));
    this.#driver = driver;
    this.mkey = mkey;
    const device = host.functions[mkey.request.dmaDevice] as RdmaFunction;
    this.#umem = new Umem({
      fw,
      request: mkey.request,
      guards,
      name,
      device: host.functions[attachesFor ?? mkey.request.dmaDevice] as RdmaFunction,
      reach: conduct.reach(device, host.memory),
      open: conduct.open,
      install: (segments) => mkey.install(tableFor(driver, mkey, segments)),
    });
  }

  get lkey(): number {
    return this.mkey.key;
  }

  get rkey(): number {
    return this.mkey.key;
  }

  get kind(): MrKind {
    return this.mkey.request.kind;
  }

  get iova(): number {
    return this.mkey.request.iova;
  }

  get sizeBytes(): number {
    return this.mkey.request.sizeBytes;
  }

  get state(): MemoryRegion["state"] {
    if (this.#deregistered) return "deregistered";
    if (this.mkey.stopped) return "revoked";
    return this.#umem.segments ? "mapped" : "unmapped";
  }

  get segments(): number {
    return this.#umem.segments?.length ?? 0;
  }

  get pageBytes(): number | null {
    return this.mkey.table?.pageBytes ?? null;
  }

  get entries(): number {
    return this.mkey.table?.entries.length ?? 0;
  }

  reaches(offset: number): number | null {
    const { iova, offset: base } = this.mkey.request;
    return this.mkey.stopped ? null : (this.mkey.table?.look(iova + offset - base)?.address ?? null);
  }

  /** Attaches, pins and maps as its kind does. Whatever it throws, {@link release} takes back what was done. */
  *init(): Op<void> {
    const { kind, prefetch } = this.mkey.request;
    yield* this.#umem.attach(this.#ops());
    const pins = kind === "pinned" || (kind === "pinned-revocable" && this.#driver.conduct.revocablePins);
    yield* this.#umem.init({ pins, maps: kind !== "on-demand" || prefetch });
  }

  /** The device found no translation. What keeps it from having one; `null`: it has one, or had. */
  *fault(): Op<DmaBufError | null> {
    if (this.kind !== "on-demand" || this.#deregistered)
      return refusal("EFAULT", "page fault", `a ${this.kind} region has no translation, and nobody who makes one`);
    this.mkey.faults++;
    this.#driver.costs.pageFaults++;
    try {
      yield* this.#umem.map();
      return null;
    } catch (error) {
      if (error instanceof DmaBufError) return error;
      throw error;
    } finally {
      this.mkey.faults--;
    }
  }

  /** The key is gone, or was never known: nobody asks any more. */
  *release(): Op<void> {
    this.#deregistered = true;
    yield* this.#umem.release();
  }

  #ops(): DmaBufAttachOps | null {
    const { stub } = this.#driver.conduct;
    const told = (act: (held: Held) => Op<void>): DmaBufAttachOps => ({
      allowPeer2peer: true,
      invalidateMappings: (_at, held) => this.#told(held, act),
    });
    switch (this.kind) {
      case "on-demand":
        return told((held) => this.#zap(held));
      case "pinned-revocable":
        return told((held) => this.#revoke(held));
      case "pinned":
        return stub ? told(nothing) : { allowPeer2peer: true };
      case "static":
        return null;
    }
  }

  *#told(held: Held, act: (held: Held) => Op<void>): Op<void> {
    const { fw, guards, costs, name } = this.#driver;
    costs.callbacks++;
    fw.trace.emit("callback", () => `${name}: key ${this.mkey.key}, ${this.kind}, is told that its memory goes`);
    if (guards.zap) yield* act(held);
  }

  /** The next access faults. It may be told while it attaches, and when nothing moves. */
  #zap(held: Held): Op<void> {
    return this.#umem.invalidations.during(this.#taken(held));
  }

  *#taken(held: Held): Op<void> {
    if (this.#umem.segments) {
      this.#driver.costs.zaps++;
      yield* this.mkey.zap();
    }
    yield* this.#umem.unmap(held);
  }

  /** For ever. */
  *#revoke(held: Held): Op<void> {
    this.#umem.revoked = true;
    this.mkey.stopped = true;
    yield* this.#zap(held);
    yield* this.#umem.unpin(held);
  }
}

/** A pinned region stays: Linux 6.13 brings a callback that warns. */
function* nothing(): Op<void> {}
