/** A function as a reader finds it: it may have no Express capability, and so no port type of its own. */
import { type PciFunction, partsOf, type PortType } from "../function.js";

export interface Draft extends Omit<PciFunction, "portType"> {
  /** `null`: it has no Express capability. */
  readonly portType: PortType | null;
}

/** Gives conventional functions their place: bridges bridge, and the others are inside the root complex or below one. */
export function settle(drafts: readonly Draft[]): PciFunction[] {
  const below = new Set(drafts.flatMap((d) => (d.bridge ? [busKey(d.address, d.bridge.secondary)] : [])));
  return drafts.map((draft) => ({ ...draft, portType: draft.portType ?? conventional(draft, below) }));
}

function conventional(draft: Draft, below: ReadonlySet<string>): PortType {
  if (draft.bridge) return "pci-bridge";
  return below.has(busKey(draft.address)) ? "endpoint" : "integrated";
}

/** One spelling an address, however many zeros its domain has: `0000:01:00.0`. */
export function canonical(address: string): string {
  const rest = address.slice(address.indexOf(":"));
  return `${domainOf(address)}${rest.toLowerCase()}`;
}

/** `0000:01`: the bus of `address`, or another one of its domain. */
export function busKey(address: string, bus: number = partsOf(address).bus): string {
  return `${domainOf(address)}:${bus.toString(16).padStart(2, "0")}`;
}

function domainOf(address: string): string {
  return parseInt(address, 16).toString(16).padStart(4, "0");
}

/** Which bus a function is on, and the root bus above it. The bridges were checked before: they form no loop. */
export class Buses {
  readonly #byAddress: ReadonlyMap<string, PciFunction>;
  readonly #parents: ReadonlyMap<string, string>;

  constructor(functions: readonly PciFunction[]) {
    this.#byAddress = new Map(functions.map((fn) => [fn.address, fn]));
    this.#parents = new Map(
      functions.flatMap((f) =>
        f.bridge?.secondary ? [[busKey(f.address, f.bridge.secondary), busKey(f.address)]] : [],
      ),
    );
  }

  /** A VF's number may be on another bus, to which no bridge leads: it is where its PF is. */
  busOf(address: string): string {
    const physfn = this.#byAddress.get(address)?.physfn ?? "";
    return busKey(this.#byAddress.has(physfn) ? physfn : address);
  }

  rootOf(address: string): string {
    let bus = this.busOf(address);
    for (let up = this.#parents.get(bus); up !== undefined; up = this.#parents.get(bus)) bus = up;
    return bus;
  }
}
