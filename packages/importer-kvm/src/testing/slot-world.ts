/** A VM of slots alone: what it is asked to zap, bind and unbind is noted, and can be told to fail. */
import { addr, type DmaBuf, DmaBufError, type Op, PAGE_SIZE, type PhysAddr, Scheduler } from "@dma-buf/core";
import { MemoryAttributes } from "../attributes.js";
import type { GuestMemfdHost } from "../gmem-pages.js";
import { GuestMemfd } from "../guest-memfd.js";
import type { MemorySlot } from "../memslot.js";
import { checkRegion, type RegionRules } from "../region.js";
import { setRegion, type SlotFile, type SlotWorld } from "../set-region.js";
import { SlotTable } from "../slots.js";
import type { UserMemoryRegion } from "../uapi.js";

/** Pages that are noted and nothing else; `limit` of them. */
export class NotedPages implements GuestMemfdHost {
  readonly log: string[] = [];
  readonly limit: number;
  live = 0;
  #next = 0x100;

  constructor(limit = 1000) {
    this.limit = limit;
  }

  allocPage(): PhysAddr {
    if (this.live >= this.limit)
      throw new DmaBufError("ENOMEM", { op: "allocPage", stage: "memslot", message: "none left" });
    this.live++;
    return addr<PhysAddr>(this.#next++ * PAGE_SIZE);
  }
  zeroPage(page: PhysAddr): void {
    this.#note("zero", page);
  }
  freePage(page: PhysAddr): void {
    this.live--;
    this.#note("free", page);
  }
  offlinePage(page: PhysAddr): void {
    this.live--;
    this.#note("offline", page);
  }
  makePrivate(page: PhysAddr): void {
    this.#note("private", page);
  }
  makeShared(page: PhysAddr): void {
    this.#note("shared", page);
  }

  #note(what: string, page: PhysAddr): void {
    this.log.push(`${what} ${(page / PAGE_SIZE).toString(16)}`);
  }
}

export interface WorldOptions {
  readonly rules?: RegionRules;
  /** Which of the calls fails, with `ENOMEM`. */
  readonly fails?: "alloc" | "bind";
  readonly pages?: number;
}

/** fd 5: a guest_memfd of 16 pages; 6: a dma-buf of 16 pages; 7: neither. */
export class TestVm {
  readonly vm: object = {};
  readonly slots: SlotTable = new SlotTable();
  readonly attributes: MemoryAttributes = new MemoryAttributes();
  readonly rules: RegionRules;
  readonly host: NotedPages;
  readonly log: string[] = [];
  readonly files: Map<number, SlotFile> = new Map();
  /** Set it later, to fail then. */
  fails: WorldOptions["fails"];
  readonly #scheduler = new Scheduler();

  constructor({ rules = { privateMemory: false }, fails, pages }: WorldOptions = {}) {
    this.rules = rules;
    this.fails = fails;
    this.host = new NotedPages(pages);
    this.files.set(5, { kind: "guest-memfd", gmem: this.gmem() });
    this.files.set(6, { kind: "dma-buf", buf: this.buf() });
    this.files.set(7, { kind: "other" });
  }

  gmem(flags: bigint = 0n, pages: bigint = 16n): GuestMemfd {
    const { vm, host, log } = this;
    const invalidate = function* (ranges: readonly { start: number; end: number }[], view: string, change: () => void) {
      log.push(`zap ${view} ${ranges.map(({ start, end }) => `${start.toString(16)}..${end.toString(16)}`).join(",")}`);
      change();
    } as ConstructorParameters<typeof GuestMemfd>[0]["invalidate"];
    return new GuestMemfd(
      { vm, host, invalidate, privateMemory: this.rules.privateMemory },
      { size: pages * 4096n, flags },
    );
  }

  buf(pages = 16, interfaces?: ReadonlyMap<symbol, unknown>): DmaBuf {
    return { sizeBytes: pages * PAGE_SIZE, ops: interfaces ? { interfaces } : {} } as DmaBuf;
  }

  set(region: UserMemoryRegion, version: 1 | 2 = 2): void {
    this.run(setRegion(this.#world, checkRegion(region, version, this.rules)));
  }

  run<T>(op: Op<T>): T {
    return this.#scheduler.complete("vmm", op);
  }

  /** What a refusal must leave alone. */
  get state(): unknown {
    const gmem = [...this.files.values()].map((f) => (f.kind === "guest-memfd" ? f.gmem.bound : 0));
    return {
      all: [...this.slots.all],
      generation: this.slots.generation,
      gmem,
      log: [...this.log],
      live: this.host.live,
    };
  }

  get #world(): SlotWorld {
    const { slots, rules, vm, log } = this;
    const failing = (what: "alloc" | "bind"): void => {
      if (this.fails === what) throw new DmaBufError("ENOMEM", { op: what, stage: "memslot", message: "told to fail" });
    };
    return {
      slots,
      rules,
      vm,
      file: (fd) => this.files.get(fd) ?? null,
      alloc: () => failing("alloc"),
      *bind(slot: MemorySlot) {
        failing("bind");
        log.push(`bind ${slot.id}`);
      },
      *unbind(slot: MemorySlot) {
        log.push(`unbind ${slot.id}`);
      },
      *zap(slot: MemorySlot) {
        const now = slots.byId(slot.addressSpace, slot.id);
        const is = now?.invalid ? "marked" : `flags ${now?.flags}`;
        log.push(`zap ${slot.id} at ${slot.gpa.toString(16)}, ${is}`);
      },
    };
  }
}
