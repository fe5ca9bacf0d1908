/** An RDMA driver as a dma-buf importer: memory regions, their keys, and the device that uses them. */
import type { DmaBufError, Framework, Op } from "@dma-buf/core";
import type { Conduct } from "./conduct.js";
import type { Driver } from "./driver.js";
import { Hca } from "./hca.js";
import type { RdmaFunction, RdmaHost } from "./host.js";
import type { MemoryRegion, RdmaCosts, RdmaImporter, RdmaLedger, RdmaResult, RdmaTarget } from "./importer.js";
import { Mr } from "./memory-region.js";
import { Mkey } from "./mkey.js";
import { ALL_GUARDS, type RdmaOptions } from "./options.js";
import { checkObject, refusal } from "./refuse.js";
import { checked, type RegMr } from "./request.js";

/** 4 KiB, 2 MiB, 1 GiB: those of irdma. */
const PAGE_SIZES: readonly number[] = [12, 21, 30];

/** Makes the importer of one device in one variant. */
export const rdmaEngine = (fw: Framework, host: RdmaHost, options: RdmaOptions, conduct: Conduct): RdmaImporter =>
  new RdmaDevice(fw, host, options, conduct);

class RdmaDevice implements RdmaImporter {
  readonly name: string;
  readonly #driver: Driver;
  readonly #hca: Hca;
  readonly #issuesFrom: number | undefined;
  /** Registered. One without its key guard keeps its key longer. */
  readonly #regions = new Set<MemoryRegion>();
  readonly #byKey = new Map<number, Mr>();
  /** An index, and in the low byte the variant that mlx5 counts. */
  #keys = 0;

  constructor(fw: Framework, host: RdmaHost, options: RdmaOptions, conduct: Conduct) {
    for (const [name, given] of Object.entries({ options, host, "host.functions": host?.functions }))
      checkObject(name, given, "rdmaImporter");
    const { pageSizesLog2 = PAGE_SIZES, guards, issuesFrom, attachesFor } = options;
    this.name = options.name ?? host.functions[0]?.name ?? "RDMA device";
    this.#driver = {
      fw,
      host,
      conduct,
      pageSizesLog2,
      attachesFor,
      name: this.name,
      guards: { ...ALL_GUARDS, ...guards },
      costs: { entriesWritten: 0, zaps: 0, pageFaults: 0, callbacks: 0 },
    };
    checkPageSizes(pageSizesLog2);
    for (const [name, index] of Object.entries({ issuesFrom, attachesFor }))
      if (index !== undefined && !host.functions[index])
        throw refusal("EINVAL", "rdmaImporter", `${name} ${index}: give an index into host.functions`);
    this.#issuesFrom = issuesFrom;
    this.#hca = new Hca({ syncs: conduct.syncs, fault: (mkey) => this.#fault(mkey) });
  }

  get costs(): RdmaCosts {
    return { ...this.#driver.costs };
  }

  get ledger(): RdmaLedger {
    const segments = Array.from(this.#regions).reduce((n, mr) => n + mr.segments, 0);
    return { memoryRegions: this.#regions.size, keys: this.#hca.keys, segments };
  }

  *regMr(request: RegMr): Op<MemoryRegion> {
    const { host, guards, conduct } = this.#driver;
    const whole = checked(request, host.functions.length, conduct.refusesEmptyAt);
    const issuer = host.functions[this.#issuesFrom ?? whole.dmaDevice] as RdmaFunction;
    const mkey = new Mkey(++this.#keys * 0x100, whole, issuer, guards);
    const mr = new Mr(this.#driver, mkey);
    let done = false;
    try {
      yield* mr.init();
      done = true;
    } finally {
      if (!done) yield* mr.release();
    }
    this.#hca.add(mkey);
    this.#byKey.set(mkey.key, mr);
    this.#regions.add(mr);
    return mr;
  }

  *deregMr(mr: MemoryRegion): Op<void> {
    if (!this.#regions.delete(mr))
      throw refusal("EINVAL", "ib_dereg_mr", `not registered with ${this.name}: do it once`);
    try {
      if (this.#driver.guards.key) yield* this.#takeKey((mr as Mr).mkey);
    } finally {
      // Ended while it waits, too: it is not registered any more, so nobody can ask again.
      yield* (mr as Mr).release();
    }
  }

  *prefetch(mr: MemoryRegion): Op<void> {
    if (!this.#regions.has(mr) || mr.kind !== "on-demand")
      throw refusal("ENOENT", "ib_advise_mr", `not an on-demand region of ${this.name}: register one`);
    const cause = yield* (mr as Mr).fault();
    if (cause) throw cause;
  }

  write(to: RdmaTarget, bytes: Uint8Array): Op<RdmaResult> {
    return this.#hca.write(to, bytes);
  }

  read(from: RdmaTarget, sizeBytes: number): Op<RdmaResult> {
    return this.#hca.read(from, sizeBytes);
  }

  /** When it returns, no request with that key is under way, and none can come. */
  *#takeKey(mkey: Mkey): Op<void> {
    this.#hca.remove(mkey);
    mkey.stopped = true;
    yield* mkey.faultless();
    this.#byKey.delete(mkey.key);
    yield* mkey.zap();
  }

  *#fault(mkey: Mkey): Op<DmaBufError | null> {
    return yield* (this.#byKey.get(mkey.key) as Mr).fault();
  }
}

function checkPageSizes(log2s: readonly number[]): void {
  const isOne = (log2: number): boolean => Number.isInteger(log2) && log2 >= 12 && log2 <= 52;
  if (!Array.isArray(log2s) || log2s.length === 0 || !log2s.every(isOne))
    throw refusal(
      "EINVAL",
      "rdmaImporter",
      `pageSizesLog2 [${String(log2s)}]: give whole numbers from 12 to 52, one at least`,
    );
}
