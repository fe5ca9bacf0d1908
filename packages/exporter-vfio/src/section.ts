/**
 * What is done with `memory_lock` held for writing: every revoke, and what undoes it. Linux: `vfio_pci_dma_buf_move()`
 * and its callers.
 */
import { type DmaBuf, type Framework, type Op, perform, type ResvGuard, until, Usage } from "@dma-buf/core";
import type { BarMmaps } from "./bar-mmap.js";
import type { VfioDmaBuf } from "./buffer.js";
import type { MemorySection } from "./exporter.js";
import type { VfioHost } from "./host.js";
import type { MemoryLock } from "./memory-lock.js";
import type { VfioDmaBufData } from "./private.js";

/** A device, for those who revoke. */
export interface Revocable {
  readonly host: VfioHost;
  readonly fw: Framework;
  readonly lock: MemoryLock;
  readonly listed: ReadonlySet<VfioDmaBuf>;
  readonly asPosted: boolean;
  readonly binding: { readonly data: VfioDmaBufData };
  /** Does a revoke wait at all? The exporter as posted until 2025 did not. */
  readonly waits: boolean;
  /** Mappings of the BARs by CPUs: they go first. */
  readonly mmaps: BarMmaps;
  /** COMMAND.MEMORY is set, and the power is less than D3hot. */
  memoryEnabled(): boolean;
}

/** Runs `body` with `memory_lock` held for `why`. */
export function* withMemoryLock<T>(dev: Revocable, why: string, body: (section: Section) => Op<T>): Op<T> {
  const section = new Section(dev, yield* dev.lock.write(why));
  try {
    return yield* body(section);
  } finally {
    yield* section.end();
  }
}

/** What is done with `memory_lock` of one device held for writing, and by the engine alone, which buffers there are. */
export class Section implements MemorySection {
  readonly #dev: Revocable;
  readonly #guard: Disposable;
  readonly #got: DmaBuf[] = [];
  #hasEnded = false;

  constructor(dev: Revocable, guard: Disposable) {
    this.#dev = dev;
    this.#guard = guard;
  }

  *revoke(): Op<void> {
    this.#needLock("revoke");
    yield* this.#stopTrusted();
    this.#dev.mmaps.zap();
    yield* this.#move(true);
  }

  *restore(): Op<void> {
    this.#needLock("restore");
    if (this.#dev.memoryEnabled()) yield* this.#move(false);
  }

  *wake(): Op<void> {
    this.#needLock("wake");
    yield* perform(this.#dev.host.setPowerState("D0"));
  }

  /** Buffers whose file still lives, each with a reference until {@link end}. Linux: `get_file_active()`. */
  active(): VfioDmaBuf[] {
    const active = [...this.#dev.listed].filter(({ buf }) => buf.refs > 0);
    for (const { buf } of active) {
      this.#dev.fw.get(buf);
      this.#got.push(buf);
    }
    return active;
  }

  /** The lock first, and then the references: the last of a buffer releases it, and that takes the lock. */
  *end(): Op<void> {
    this.#hasEnded = true;
    this.#guard[Symbol.dispose]();
    for (const buf of this.#got.splice(0)) yield* this.#dev.fw.fput(buf);
  }

  #needLock(what: string): void {
    if (!this.#hasEnded) return;
    const { name } = this.#dev.host;
    throw new TypeError(`${what}() after end(): memory_lock of ${name} is given back, take it again`);
  }

  /** Where the device is one VM's, its interface stops first: what the VM has of it could not be taken away else. */
  *#stopTrusted(): Op<void> {
    const { asPosted, binding, host } = this.#dev;
    if (!asPosted && binding.data.isPrivate) yield* host.trustedIo?.stop() ?? [];
  }

  *#move(revoke: boolean): Op<void> {
    const { fw, host } = this.#dev;
    const { name } = host;
    fw.trace.emit("event", () => `${name}: ${revoke ? "revoke" : "un-revoke"} begins`);
    for (const priv of this.active()) {
      if (priv.revoked === revoke) continue;
      yield* revoke ? this.#revokeOne(priv) : this.#restoreOne(priv);
    }
    fw.trace.emit("event", () => `${name}: ${revoke ? "revoke" : "un-revoke"} is done`);
  }

  /**
   * Not `Framework.drain()`: that asks who is attached, and who detached with a mapping left is waited for as well. Nor
   * does un-revoking wait for unmaps, or the posted code for anything.
   */
  *#revokeOne(priv: VfioDmaBuf): Op<void> {
    {
      using held = yield* priv.buf.resv.lock();
      priv.revoked = true;
      yield* this.#tell(priv, held);
    }
    if (!this.#waitsFor("unmap")) return;
    const unmapped = (): boolean => priv.mappedBy.length === 0;
    yield* until("vfio.unmap", unmapped, () => `unmap by ${priv.mappedBy.join(", ")}`);
  }

  /** Importers are told of this too, and before it is true: a map that one tries in its callback is still refused. */
  *#restoreOne(priv: VfioDmaBuf): Op<void> {
    {
      using held = yield* priv.buf.resv.lock();
      yield* this.#tell(priv, held);
    }
    using _held = yield* priv.buf.resv.lock();
    priv.revoked = false;
  }

  /** Invalidates, and waits for whatever still uses the memory. No signal and no timeout ends the wait. */
  *#tell({ buf }: VfioDmaBuf, held: ResvGuard): Op<void> {
    yield* this.#dev.fw.invalidate(buf, held);
    if (this.#waitsFor("fences")) yield* buf.resv.waitTimeout(Usage.BOOKKEEP);
  }

  #waitsFor(what: "fences" | "unmap"): boolean {
    return this.#dev.waits && this.#dev.fw.contract.policy.drain.includes(what);
  }
}
