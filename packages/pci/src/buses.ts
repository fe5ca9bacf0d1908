/** How addresses and buses are spelled, and which bus a function is on. */
import { type PciFunction, partsOf } from "./function.js";

/** One spelling an address, however many zeros its domain has: `0000:01:00.0`. */
export function canonical(address: string): string {
  const rest = address.slice(address.indexOf(":"));
  return `${domainText(parseInt(address, 16))}${rest.toLowerCase()}`;
}

/** `0000:01`: the bus of `address`, or another one of its domain. */
export function busKey(address: string, bus: number = partsOf(address).bus): string {
  return busName(parseInt(address, 16), bus);
}

export function busName(domain: number, bus: number): string {
  return `${domainText(domain)}:${bus.toString(16).padStart(2, "0")}`;
}

function domainText(domain: number): string {
  return domain.toString(16).padStart(4, "0");
}

/** Which bus a function is on, and the root bus above it. The bridges were checked before: they form no loop. */
export class Buses {
  readonly #byAddress: ReadonlyMap<string, PciFunction>;
  readonly #parents: ReadonlyMap<string, string>;
  /** Of each function, spelled once: every hop of a request asks. */
  readonly #busOf: ReadonlyMap<string, string>;

  constructor(functions: readonly PciFunction[]) {
    this.#byAddress = new Map(functions.map((fn) => [fn.address, fn]));
    this.#parents = new Map(
      functions.flatMap((f) =>
        f.bridge?.secondary ? [[busKey(f.address, f.bridge.secondary), busKey(f.address)]] : [],
      ),
    );
    this.#busOf = new Map(functions.map(({ address }) => [address, this.#spelled(address)]));
  }

  /** A VF's number may be on another bus, to which no bridge leads: it is where its PF is. */
  busOf(address: string): string {
    return this.#busOf.get(address) ?? this.#spelled(address);
  }

  rootOf(address: string): string {
    let bus = this.busOf(address);
    for (let up = this.#parents.get(bus); up !== undefined; up = this.#parents.get(bus)) bus = up;
    return bus;
  }

  #spelled(address: string): string {
    const physfn = this.#byAddress.get(address)?.physfn ?? "";
    return busKey(this.#byAddress.has(physfn) ? physfn : address);
  }
}
