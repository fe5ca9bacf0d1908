/** How a device's request travels: the ports by its number, the IOMMU, and down again to what claims it. */
import { addr, type BusAddr, hex, type Op, type PhysAddr, point } from "@dma-buf/core";
import { type PciFunction, route, type RouteEnd, type Topology } from "@dma-buf/pci";
import type { Delivery } from "./delivery.js";
import type { Fabric } from "./fabric.js";
import type { FunctionStates } from "./function-state.js";
import type { DeviceTlb } from "./iommu/atc.js";
import { type CachedLeaf, through } from "./iommu/cache.js";
import { spacesOf } from "./iommu/domain.js";
import { isInterrupt } from "./iommu/kind.js";
import type { IommuUnit } from "./iommu/unit.js";
import type { PhysicalMemory } from "./physical.js";
import type { Ways } from "./ways.js";

/** What lies on the way. */
export interface TravelParts {
  /** As it is now: somebody may have written to a port. */
  readonly topology: Topology;
  readonly ways: Ways;
  readonly memory: PhysicalMemory;
  readonly fabric: Fabric;
  readonly unit: IommuUnit;
  readonly functions: FunctionStates;
}

/** One request on the wire. It lies within one page, as a TLP does. */
export interface Request {
  readonly fn: PciFunction;
  /** As the device knows it: what it would send untranslated. */
  readonly address: number;
  readonly access: "read" | "write";
}

export class Travel {
  readonly #parts: TravelParts;

  constructor(parts: TravelParts) {
    this.#parts = parts;
  }

  /** A request from its issue on. What the sender cannot send is lost; what it can no longer take is a timeout. */
  *send(request: Request): Op<Delivery> {
    const { functions, ways, topology, unit } = this.#parts;
    const { fn, address, access } = request;
    ways.begin();
    const wire = spacesOf(topology, fn, unit.attachedTo(fn));
    const issued = { step: ways.trace.scheduler.steps, address, wire };
    const silence = functions.silence(fn);
    if (silence) return { ...mute(fn, silence), issued };
    const resets = functions.resets(fn);
    const delivery = yield* this.#go(request);
    if (access === "write" || resets === functions.resets(fn)) return { ...delivery, issued };
    const reason = `${fn.address} was reset: the completion came too late, and was dropped`;
    return { kind: "lost", reason, answer: "completion-timeout", issued };
  }

  /**
   * From the sender to where it arrives. Sleeps at the IOMMU and before the arrival, and while a translation is asked for.
   * A device whose ATS is on sends translated addresses alone.
   */
  *#go(request: Request): Op<Delivery> {
    const atc = this.#parts.unit.atcOf(request.fn);
    return yield* atc ? this.#translated(request, atc) : this.#untranslated(request);
  }

  *#untranslated(request: Request): Op<Delivery> {
    const { fabric, unit } = this.#parts;
    const { fn, address, access } = request;
    const end = this.#route(fn, address, false);
    if (end.kind !== "root-complex") return yield* this.#below(end, fn);
    yield* point("iommu.lookup");
    if (isInterrupt(unit.kind, address)) return this.#interrupt(request);
    const found = unit.translate(fn, address, access);
    if (found.kind === "fault") {
      unit.report({ source: fn.address, pasid: null, address, access }, found.stopped);
      return found;
    }
    const physical = found.kind === "identity" ? this.#inbound(fn, address) : found.physical;
    const delivery = yield* fabric.arrive(fabric.decode(fn, physical), fn.address, null);
    const isWriteBack = found.kind === "hit" && found.leaf.cache === "wb";
    return isWriteBack && delivery.kind === "memory" ? { ...delivery, snoops: true } : delivery;
  }

  /** By what the ATC holds, or the IOMMU's reply. From here on neither IOTLB nor table is asked. */
  *#translated(request: Request, atc: DeviceTlb): Op<Delivery> {
    const { functions } = this.#parts;
    const { fn, address, access } = request;
    const resets = functions.resets(fn);
    const leaf = atc.lookup(address, access) ?? (yield* this.#ask(request, atc));
    // Others ran while it asked: what it asked for before a reset, it has forgotten.
    const silence = functions.silence(fn) ?? (resets === functions.resets(fn) ? null : "it was reset");
    if (silence) return mute(fn, silence);
    if (!leaf)
      return { kind: "fault", by: `ATC of ${fn.address}`, reason: `${hex(address)}: the reply allows no ${access}` };
    const physical = through(leaf, address);
    const end = this.#route(fn, physical, true);
    const rest = end.kind === "root-complex" ? this.#bypass(request, physical) : this.#below(end, fn);
    // A completion pushes writes that go up in front of it. It does not push those that went sideways.
    return yield* end.kind === "root-complex" || access === "read" ? atc.use(rest) : rest;
  }

  /** A translated request at the root complex: the IOMMU asks only whether the device may send such. */
  *#bypass({ fn, access }: Request, physical: PhysAddr): Op<Delivery> {
    const { fabric, unit } = this.#parts;
    yield* point("iommu.lookup");
    if (unit.atcOf(fn) && !isInterrupt(unit.kind, physical))
      return yield* fabric.arrive(fabric.decode(fn, physical), fn.address, null);
    unit.report({ source: fn.address, pasid: null, address: physical, access }, "not-allowed");
    return { kind: "fault", by: "IOMMU", reason: `${hex(physical)}: translated request refused` };
  }

  /**
   * Asks for a translation until the reply is not older than an invalidation. `null`: nothing is allowed there, or the
   * request does not get up to the IOMMU.
   */
  *#ask({ fn, address, access }: Request, atc: DeviceTlb): Op<CachedLeaf | null> {
    for (;;) {
      const asked = atc.invalidations;
      yield* point("ats.request");
      if (this.#parts.functions.stopUp(fn, null)) return null;
      const found = this.#parts.unit.translate(fn, address, access);
      yield* point("ats.reply");
      if (found.kind === "fault") return null;
      const leaf = found.kind === "hit" ? found.leaf : this.#page(fn, address);
      if (atc.keep(leaf, asked)) return leaf;
    }
  }

  /** What an ATS reply says where addresses pass through. */
  #page(fn: PciFunction, address: number): CachedLeaf {
    const base = address - (address % 4096);
    return { base, sizeBytes: 4096, physical: this.#inbound(fn, base), read: true, write: true };
  }

  #route(fn: PciFunction, address: number, translated: boolean): RouteEnd {
    const { functions, topology, ways } = this.#parts;
    // Bus mastering is a run-time state, and was asked before.
    const { hops, end } = route(topology, fn, addr<BusAddr>(address), { translated, busMaster: true });
    for (const hop of hops) ways.hop(hop);
    if (end.kind !== "root-complex" && end.kind !== "function") return end;
    return functions.stopUp(fn, end.kind === "function" ? end.fn : null) ?? end;
  }

  /** It did not leave the tree upwards. */
  *#below(end: Exclude<RouteEnd, { kind: "root-complex" }>, fn: PciFunction): Op<Delivery> {
    if (end.kind === "function") return yield* this.#parts.fabric.arrive({ ...end, kind: "bar" }, fn.address, fn);
    const what = end.kind === "completer-abort" ? "ACS violation" : "unsupported request";
    return { kind: "lost", reason: `${what} at ${end.at}: ${end.reason}`, answer: end.kind, at: end.at };
  }

  /** A write is a message to a CPU, and no memory changes; a read is answered by nobody. */
  #interrupt({ fn, address, access }: Request): Delivery {
    const what = access === "write" ? "an interrupt, which is never translated" : "no memory: unsupported request";
    this.#parts.ways.trace.emit("event", () => `${fn.address}: ${access} of ${hex(address)} is ${what}`);
    return { kind: "lost", reason: `${hex(address)} is ${what}` };
  }

  /** Without translation, RAM is inbound where the CPU sees it; everything else is numbered as the bus numbers it. */
  #inbound(fn: PciFunction, address: number): PhysAddr {
    const { memory, topology } = this.#parts;
    if (memory.isRam(address)) return addr<PhysAddr>(address);
    return topology.toPhys(topology.hostBridgeOf(fn), addr<BusAddr>(address));
  }
}

/** A request that is never put on the wire. */
function mute(fn: PciFunction, why: string): Delivery {
  return { kind: "lost", reason: `${fn.address} sends nothing: ${why}` };
}
