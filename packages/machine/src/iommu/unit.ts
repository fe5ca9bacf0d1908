/**
 * An IOMMU: who is attached to which domain, the IOTLB, the devices' own caches as far as it commands them, and the
 * faults. One unit stands before all root ports of the machine.
 */
import { hex, type Op, type PhysAddr, point, type Trace } from "@dma-buf/core";
import { type PageTable, walk, type WalkMemory } from "@dma-buf/page-table";
import type { PciFunction } from "@dma-buf/pci";
import type { DeviceTlb } from "./atc.js";
import { type CachedLeaf, through, TranslationCache } from "./cache.js";
import { DeviceEntries } from "./device-entries.js";
import { type Attached, type IommuDomain, nameOf } from "./domain.js";
import { DeviceTlbs } from "./device-tlbs.js";
import { FaultLog, faultRecord, type FaultSource, type Stopped } from "./fault.js";
import type { IommuKind } from "./kind.js";
import type { Ways } from "../ways.js";

/** What the unit says to a request. `leaf` is what an ATS reply would carry; `null`: the address passes through. */
export type Translation =
  | { readonly kind: "hit"; readonly physical: PhysAddr; readonly leaf: CachedLeaf; readonly from: "iotlb" | "table" }
  | { readonly kind: "identity" }
  | { readonly kind: "fault"; readonly stopped: Stopped; readonly by: string; readonly reason: string };

/** A range of addresses of a domain, bytes. */
export interface IovaRange {
  readonly address: number;
  readonly sizeBytes: number;
}

const ALL: IovaRange = { address: 0, sizeBytes: Number.MAX_SAFE_INTEGER };

export class IommuUnit {
  readonly kind: IommuKind;
  readonly faults: FaultLog;
  readonly #memory: WalkMemory;
  readonly #ways: Ways;
  readonly #trace: Trace;
  readonly #entries = new DeviceEntries();
  readonly #iotlb = new Map<number, TranslationCache>();
  readonly #atcs: DeviceTlbs;
  #domains = 0;

  constructor(kind: IommuKind, memory: WalkMemory, ways: Ways, faultsMax: number, untrusted: readonly string[]) {
    this.#atcs = new DeviceTlbs(untrusted);
    this.kind = kind;
    this.#memory = memory;
    this.#ways = ways;
    this.#trace = ways.trace;
    this.faults = new FaultLog(faultsMax);
  }

  /** A domain over a table that its owner fills. Nobody is attached to it yet. */
  createDomain(name: string, table: PageTable): IommuDomain {
    return { kind: "paging", id: ++this.#domains, name, format: table.format, root: table };
  }

  /**
   * Writes the device entry of `fn`, in one step. What the ATC holds is of the old domain, and is dropped.
   * @throws DmaBufError `EBUSY` between {@link block} and {@link unblock}
   */
  attach(fn: PciFunction, to: Attached): void {
    this.#entries.set(fn, to);
    this.#trace.emit("event", () => `${fn.address}: IOMMU domain is now ${nameOf(to)}`);
    this.#atcs.of(fn.address)?.invalidateAll();
  }

  /** What the device entry of `fn` says. */
  attachedTo(fn: PciFunction): Attached {
    return this.#entries.of(fn);
  }

  /** The domain that `fn` was attached to first, when it was probed. */
  defaultOf(fn: PciFunction): Attached {
    return this.#entries.defaultOf(fn);
  }

  /** Functions whose device entry leads to `domain`. */
  attachedCount(domain: IommuDomain): number {
    return this.#entries.functionsOf(domain).length;
  }

  /** Drops all of `domain`, to which nobody is attached: its tables are about to be freed. */
  forget(domain: IommuDomain): void {
    this.flushIotlb(domain);
    this.#iotlb.delete(domain.id);
  }

  /** Stops all DMA of `fn` while it is reset, whatever its domain. Linux: `pci_dev_reset_iommu_prepare()`. */
  block(fn: PciFunction): void {
    this.#entries.setBlocked(fn, true);
  }

  /** Linux: `pci_dev_reset_iommu_done()`. */
  unblock(fn: PciFunction): void {
    this.#entries.setBlocked(fn, false);
  }

  /** A request without a translation of its own, or an ATS request: the IOTLB first, then a walk, whose leaf is cached. */
  translate(fn: PciFunction, address: number, access: "read" | "write"): Translation {
    const attached = this.#entries.inForce(fn);
    if (attached === "identity") return { kind: "identity" };
    if (attached === "blocked")
      return { kind: "fault", stopped: "no-entry", by: "IOMMU", reason: `${hex(address)}: no entry for ${fn.address}` };
    const leaf = this.#iotlb.get(attached.id)?.lookup(address, access);
    if (!leaf) return this.#walk(attached, address, access);
    const physical = through(leaf, address);
    this.#ways.cached(attached.name, address, physical, "IOTLB");
    return { kind: "hit", physical, leaf, from: "iotlb" };
  }

  /** Notes a fault. An ATS request that misses is none: its reply says that nothing is allowed. */
  report(from: FaultSource, stopped: Stopped): void {
    const record = faultRecord(this.kind, from, stopped, this.#trace.scheduler.steps);
    this.#trace.emit("event", () => record.text);
    this.faults.add(record);
  }

  /**
   * Lets `fn` ask for translations and keep them. Its ATC is empty then. Linux: `pci_enable_ats()`.
   * @throws DmaBufError `EINVAL` it has no ATS, or is not trusted · `EBUSY` ATS is on
   */
  enableAts(fn: PciFunction): void {
    this.#atcs.enable(fn);
    this.#trace.emit("event", () => `${fn.address}: ATS on`);
  }

  /** Reset does it too. Linux: `pci_disable_ats()`. */
  disableAts(fn: PciFunction): void {
    this.#atcs.disable(fn);
  }

  /** The ATC of `fn`; `null` where ATS is off. */
  atcOf(fn: PciFunction): DeviceTlb | null {
    return this.#atcs.of(fn.address);
  }

  /**
   * Drops what is cached of `domain`: by the IOTLB, then by the ATCs of its devices, so that no device can be told the
   * old answer in between. Sleeps: the request, each ATC, and the completion are schedule points. An ATC completes when
   * requests that use it have ended, but for writes that went to a peer below the same switch.
   */
  *flush(domain: IommuDomain, range: IovaRange = ALL): Op<void> {
    yield* point("iommu.flush.request");
    this.flushIotlb(domain, range);
    for (const atc of this.#atcsOf(domain)) {
      yield* point("ats.invalidate.request");
      atc.invalidate(range.address, range.sizeBytes);
      yield* atc.drain();
    }
    yield* point("iommu.flush.complete");
  }

  /** The same in one step, for callers that cannot sleep: {@link flush} with nobody in between, and nothing drained. */
  flushNow(domain: IommuDomain, range: IovaRange = ALL): void {
    this.flushIotlb(domain, range);
    for (const atc of this.#atcsOf(domain)) atc.invalidate(range.address, range.sizeBytes);
  }

  /** The IOTLB alone, in one step: half a flush where devices have ATCs. */
  flushIotlb(domain: IommuDomain, { address, sizeBytes }: IovaRange = ALL): void {
    this.#trace.emit("store", () => `${domain.name}: IOTLB flushed`);
    this.#iotlb.get(domain.id)?.drop(address, sizeBytes);
  }

  /** Leaves of `domain` in the IOTLB. */
  cached(domain: IommuDomain): number {
    return this.#iotlb.get(domain.id)?.size ?? 0;
  }

  /** For the ledger: leaves in the IOTLB, and in all ATCs. */
  get counts(): { readonly iotlbEntries: number; readonly atcEntries: number } {
    const iotlbEntries = [...this.#iotlb.values()].reduce((n, cache) => n + cache.size, 0);
    return { iotlbEntries, atcEntries: this.#atcs.size };
  }

  #atcsOf(domain: IommuDomain): DeviceTlb[] {
    return this.#entries.functionsOf(domain).flatMap((fn) => this.#atcs.of(fn) ?? []);
  }

  #walk(domain: IommuDomain, address: number, access: "read" | "write"): Translation {
    const { name, format, root } = domain;
    const found = walk(format, this.#memory, root, address, access);
    this.#ways.walked(name, address, access, found);
    if (found.kind === "fault") {
      const why = `${found.reason} at level ${found.level}`;
      return { kind: "fault", stopped: found.reason, by: `IOMMU, ${name}`, reason: `${hex(address)}: ${why}` };
    }
    const { physical, leafSizeBytes: sizeBytes, protection } = found;
    const into = address % sizeBytes;
    const { read, write, cache } = protection;
    const to = { physical: physical - into, read, write, ...(cache ? { cache } : {}) };
    const leaf: CachedLeaf = { base: address - into, sizeBytes, ...to };
    this.#cacheOf(domain).keep(leaf);
    return { kind: "hit", physical, leaf, from: "table" };
  }

  #cacheOf({ id }: IommuDomain): TranslationCache {
    let cache = this.#iotlb.get(id);
    if (!cache) this.#iotlb.set(id, (cache = new TranslationCache()));
    return cache;
  }
}
