/** The device entries: which domain each function's requests go through. */
import { DmaBufError } from "@dma-buf/core";
import type { PciFunction } from "@dma-buf/pci";
import type { Attached, IommuDomain } from "./domain.js";

export class DeviceEntries {
  readonly #entries = new Map<string, Attached>();
  /** What each function was attached to first. */
  readonly #defaults = new Map<string, Attached>();
  readonly #blocked = new Set<string>();

  /** @throws DmaBufError `EBUSY` it is blocked for a reset; nothing changed */
  set({ address }: PciFunction, to: Attached): void {
    if (this.#blocked.has(address))
      throw new DmaBufError("EBUSY", {
        op: "iommu_attach_group",
        stage: "attach",
        message: `${address} is blocked for a reset, and its domain stays: attach after the reset`,
        values: { function: address },
      });
    if (!this.#defaults.has(address)) this.#defaults.set(address, to);
    this.#entries.set(address, to);
  }

  of({ address }: PciFunction): Attached {
    return this.#entries.get(address) ?? "blocked";
  }

  defaultOf({ address }: PciFunction): Attached {
    return this.#defaults.get(address) ?? "blocked";
  }

  /** What a request of `fn` meets: nothing while it is blocked, whatever its entry. */
  inForce(fn: PciFunction): Attached {
    return this.#blocked.has(fn.address) ? "blocked" : this.of(fn);
  }

  setBlocked({ address }: PciFunction, isBlocked: boolean): void {
    if (isBlocked) this.#blocked.add(address);
    else this.#blocked.delete(address);
  }

  /** Addresses of the functions whose entry leads to `domain`. */
  functionsOf(domain: IommuDomain): string[] {
    return [...this.#entries].filter(([, attached]) => attached === domain).map(([fn]) => fn);
  }
}
