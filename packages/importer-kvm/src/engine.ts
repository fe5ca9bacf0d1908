/**
 * KVM as an importer: a memory slot backed by a dma-buf. A guest's access walks the second stage; where there is no
 * entry, KVM asks for the run and installs it, unless an invalidate came between: the sequence count tells.
 */
import {
  type AccessResult,
  addr,
  type DmaBufAttachment,
  DmaBufError,
  type Framework,
  type Gpa,
  type Held,
  hex,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  point,
  type Run,
  type Window,
  withRuns,
} from "@dma-buf/core";
import type { GuestAccess, KvmHost } from "./host.js";
import { checkMemslot, type Memslot } from "./validate.js";

/** Where a run lies for the CPU. @throws DmaBufError `EOPNOTSUPP` for a kind a second stage cannot hold. */
export type Resolve = (run: Run) => PhysAddr;

export interface KvmOptions {
  /** The importer of the RFC: private-memory VMs only, whole buffers only. @defaultValue false */
  readonly asPosted?: boolean;
  /** Look at the sequence count before installing? Without it a revoked page can be installed. @defaultValue true */
  readonly retry?: boolean;
  /** Flush the TLB after zapping? @defaultValue true */
  readonly flush?: boolean;
}

interface Slot extends Memslot {
  attachment: DmaBufAttachment;
  window: Window;
}

/** One VM with its slots. Every operation may sleep. */
export class KvmImporter {
  readonly name: string;
  readonly #fw: Framework;
  readonly #host: KvmHost;
  readonly #resolve: Resolve;
  readonly #options: KvmOptions;
  readonly #slots: Slot[] = [];
  /** `mmu_invalidate_seq` and `mmu_invalidate_in_progress`. */
  #sequence = 0;
  #inProgress = 0;

  constructor(fw: Framework, host: KvmHost, resolve: Resolve, options: KvmOptions) {
    this.#fw = fw;
    this.#host = host;
    this.#resolve = resolve;
    this.#options = options;
    this.name = `KVM ${host.name}`;
  }

  /** Adds a slot: attaches without a device, which is all KVM has. @throws DmaBufError; nothing is left behind. */
  *setMemslot(memslot: Memslot): Op<void> {
    checkMemslot(memslot, this.#slots, this.#options.asPosted ? { privateMemory: this.#host.privateMemory } : null);
    const { buf } = memslot;
    this.#fw.get(buf);
    try {
      const slot = { ...memslot } as Slot;
      const ops = {
        allowPeer2peer: true,
        invalidateMappings: (_at: DmaBufAttachment, held: Held) => this.#invalidate(slot, held),
      };
      slot.attachment = yield* this.#fw.dynamicAttach(buf, null, { name: this.name, ops });
      slot.window = yield* this.#fw.open(slot.attachment, "bidirectional");
      this.#slots.push(slot);
    } catch (error) {
      yield* this.#fw.put(buf);
      throw error;
    }
  }

  /** The guest writes. @throws DmaBufError `EIO` at stage `vcpu-run` when the exporter does not give the page. */
  write(gpa: Gpa, bytes: Uint8Array): Op<AccessResult> {
    return this.#run(gpa, () => this.#host.write(gpa, bytes));
  }

  /** The guest reads. Errors as {@link write}. */
  read(gpa: Gpa, sizeBytes: number): Op<AccessResult> {
    return this.#run(gpa, () => this.#host.read(gpa, sizeBytes));
  }

  /** Removes every slot: zaps, flushes, detaches, gives the references back. */
  *destroy(): Op<void> {
    for (const slot of this.#slots.splice(0)) {
      yield* this.#zap(slot);
      yield* slot.window.close();
      yield* this.#fw.detachAttachment(slot.buf, slot.attachment);
      yield* this.#fw.put(slot.buf);
    }
  }

  /** `KVM_RUN` until the access is through: an exit for a missing entry faults it in and tries again. */
  *#run(gpa: Gpa, access: () => Op<GuestAccess>): Op<AccessResult> {
    for (;;) {
      const result = yield* access();
      if (result.kind !== "violation") return result;
      const slot = this.#slots.find((s) => s.gpa <= gpa && gpa < s.gpa + s.sizeBytes);
      if (!slot) return { kind: "fault", by: this.name, reason: `no memory slot at ${hex(gpa)}` };
      yield* this.#fault(slot, gpa);
    }
  }

  *#fault(slot: Slot, gpa: Gpa): Op<void> {
    const page = gpa - (gpa % PAGE_SIZE);
    const offset = page - slot.gpa + slot.offset;
    for (let installed = false; !installed; ) {
      const sequence = this.#sequence;
      try {
        installed = yield* withRuns(slot.attachment, slot.window, offset, PAGE_SIZE, (runs) =>
          this.#install(slot, page, offset, runs, sequence),
        );
      } catch (error) {
        throw this.#exit(gpa, error);
      }
    }
  }

  /** Under `mmu_lock`: one step, so nothing comes between the check and the store. */
  *#install(slot: Slot, page: number, offset: number, runs: readonly Run[], sequence: number): Op<boolean> {
    yield* point("kvm.mmu_lock");
    const retry = this.#options.retry ?? true;
    if (retry && (this.#inProgress > 0 || sequence !== this.#sequence)) return false;
    const run = runs[0] as Run;
    const physical = addr<PhysAddr>(this.#resolve(run) + offset - run.offset);
    const leaf = leafSize(slot, run, page, physical, this.#host.table.format.leafSizesLog2);
    const within = page % leaf;
    this.#host.table.map(page - within, addr<PhysAddr>(physical - within), leaf, {
      read: true,
      write: true,
      execute: false,
      cache: "uc",
    });
    return true;
  }

  /** The exporter's callback, reservation held: begin, zap, flush, end. */
  *#invalidate(slot: Slot, held: Held): Op<void> {
    this.#fw.trace.emit("callback", () => `${this.name}: invalidate zaps the slot at ${hex(slot.gpa)}`);
    yield* this.#zap(slot);
    yield* slot.window.drop(held);
  }

  *#zap(slot: Slot): Op<void> {
    yield* point("kvm.mmu_lock");
    this.#inProgress++;
    for (const leaf of Array.from(this.#host.table.leaves(slot.gpa, slot.sizeBytes)))
      this.#host.table.unmap(leaf.va, leaf.sizeBytes);
    if (this.#options.flush ?? true) yield* this.#host.flushTlb();
    this.#sequence++;
    this.#inProgress--;
  }

  /** Any error of the exporter ends `KVM_RUN` with EIO: EFAULT would ask userspace to convert the page's attributes. */
  #exit(gpa: Gpa, cause: unknown): unknown {
    if (!(cause instanceof DmaBufError)) return cause;
    return new DmaBufError("EIO", {
      op: "KVM_RUN",
      stage: "vcpu-run",
      message: `no page for ${hex(gpa)}: ${cause.message}`,
      cause,
    });
  }
}

/** The largest leaf that lies inside slot and run and is congruent in both. */
function leafSize(slot: Memslot, run: Run, page: number, physical: number, sizesLog2: readonly number[]): number {
  for (const log2 of sizesLog2.toSorted((a, b) => b - a)) {
    const size = 2 ** log2;
    const start = page - (page % size);
    const runStart = slot.gpa - slot.offset + run.offset;
    const inside =
      start >= Math.max(slot.gpa, runStart) &&
      start + size <= Math.min(slot.gpa + slot.sizeBytes, runStart + run.sizeBytes);
    if (inside && page % size === physical % size) return size;
  }
  return PAGE_SIZE;
}
