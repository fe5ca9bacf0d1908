/** The ATCs of all functions, and whose are on. */
import { DmaBufError } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import { DeviceTlb } from "./atc.js";

/** One {@link DeviceTlb} a function, for ever: off and on again, it still knows which requests are under way. */
export class DeviceTlbs {
  readonly #untrusted: readonly string[];
  readonly #byFunction = new Map<string, DeviceTlb>();
  readonly #on = new Set<string>();

  /** @param untrusted addresses of functions whose word for a translation is not taken */
  constructor(untrusted: readonly string[]) {
    this.#untrusted = untrusted;
  }

  /** @throws DmaBufError `EINVAL` no ATS, or not trusted · `EBUSY` it is on */
  enable(fn: PciFunction): void {
    const { address } = fn;
    if (fn.ats === null) throw refused("EINVAL", address, "has no ATS capability: choose a function that has one");
    if (this.#untrusted.includes(address)) throw refused("EINVAL", address, "is not trusted: leave its ATS off");
    if (this.#on.has(address)) throw refused("EBUSY", address, "has ATS on: disable it first");
    const known = this.#byFunction.get(address);
    known?.invalidateAll();
    if (!known) this.#byFunction.set(address, new DeviceTlb(address));
    this.#on.add(address);
  }

  disable(fn: PciFunction): void {
    this.#byFunction.get(fn.address)?.invalidateAll();
    this.#on.delete(fn.address);
  }

  /** `null` where ATS is off. */
  of(address: string): DeviceTlb | null {
    return this.#on.has(address) ? (this.#byFunction.get(address) ?? null) : null;
  }

  /** Leaves held by all. */
  get size(): number {
    return [...this.#byFunction.values()].reduce((n, atc) => n + atc.size, 0);
  }
}

function refused(code: "EINVAL" | "EBUSY", address: string, why: string): DmaBufError {
  return new DmaBufError(code, {
    op: "pci_enable_ats",
    stage: "attach",
    message: `${address} ${why}`,
    values: { function: address },
  });
}
