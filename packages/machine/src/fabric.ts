/** From the root complex to memory: who claims a physical address, and whether it takes a request that arrives now. */
import { addr, hex, type Op, type PhysAddr, point } from "@dma-buf/core";
import { type PciFunction, routeFromRoot, type Topology } from "@dma-buf/pci";
import type { Delivery, Destination } from "./delivery.js";
import type { FunctionStates } from "./function-state.js";
import type { PhysicalMemory } from "./physical.js";
import type { PrivateMemory, Strangers } from "./private.js";
import type { Ways } from "./ways.js";

/** What lies around the fabric. */
export interface FabricParts {
  readonly topology: Topology;
  readonly ways: Ways;
  readonly memory: PhysicalMemory;
  readonly functions: FunctionStates;
  readonly private: PrivateMemory;
  /** Does the root complex forward peer requests between its ports? */
  readonly rootComplexForwards: boolean;
}

export class Fabric {
  readonly #parts: FabricParts;
  /** Did an answer hang on {@link FabricParts.rootComplexForwards}? */
  forwardsAsked = false;

  constructor(parts: FabricParts) {
    this.#parts = parts;
  }

  /** What the root complex does with a physical address. `from` is `null` for a CPU: those it always forwards. */
  decode(from: PciFunction | null, physical: PhysAddr): Destination {
    const { topology, ways, memory } = this.#parts;
    if (memory.isRam(physical)) return { kind: "ram", physical };
    for (const bridge of topology.hostBridges) {
      const down = routeFromRoot(topology, bridge, physical);
      if (down.end.kind !== "function") continue;
      if (from && !this.#forwards()) {
        ways.hop({ at: "root complex", action: `does not forward ${hex(physical)} between its ports` });
        return {
          kind: "nowhere",
          at: bridge.name,
          reason: `the root complex does not forward peer requests: ${hex(physical)} reached nobody`,
        };
      }
      for (const hop of down.hops) ways.hop(hop);
      return { ...down.end, kind: "bar" };
    }
    return { kind: "nowhere", at: "root complex", reason: `nobody claims ${hex(physical)}` };
  }

  /** The way to the destination takes time: a schedule point, and then {@link land}. */
  *arrive(to: Destination, by: string, from: PciFunction | null): Op<Delivery> {
    yield* point("fabric.arrive");
    return this.land(to, by, from);
  }

  /**
   * The end of a request: what is there is asked now, not when it was sent.
   * @param from the sender, where it was routed sideways below a common port
   */
  land(to: Destination, by: string, from: PciFunction | null): Delivery {
    if (to.kind === "nowhere") return { ...to, kind: "lost" };
    const refusal = to.kind === "bar" ? this.#parts.functions.refusal(to.fn, from) : null;
    if (refusal) return { kind: "lost", ...refusal };
    const physical = to.kind === "ram" ? to.physical : addr<PhysAddr>(to.bar.base + to.offset);
    const secret = this.#parts.private.refusal(by, physical);
    if (secret) return this.#kept(by, secret, this.#parts.private.secretTo(by, physical)?.strangers);
    return { kind: "memory", physical, target: to.kind === "ram" ? "ram" : "mmio" };
  }

  /** How hardware keeps a stranger from private memory. Only a CPU raises a machine check: a device is refused. */
  #kept(by: string, secret: string, strangers: Strangers = "ones"): Delivery {
    const reason = `${by}: ${secret}`;
    if (strangers === "ones") return { kind: "lost", reason, answer: "unsupported-request" };
    const isChecked = strangers === "machine-check" && !this.#parts.topology.has(by);
    return { kind: "fault", by: isChecked ? "a machine check" : "the device", reason };
  }

  #forwards(): boolean {
    this.forwardsAsked = true;
    return this.#parts.rootComplexForwards;
  }
}
