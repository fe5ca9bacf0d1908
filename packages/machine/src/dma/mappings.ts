/** What one device has mapped, so that only that is unmapped, and once. */
import { DmaBufError, hex, type PhysAddr } from "@dma-buf/core";

interface Mapping {
  readonly address: number;
  readonly sizeBytes: number;
  /** Where it bounces, `null`: nowhere. */
  readonly slot: PhysAddr | null;
}

/** Without an IOMMU one address may be mapped several times: each of those is taken back alone. */
export class LiveMappings {
  readonly #byAddress = new Map<number, Mapping[]>();
  #live = 0;

  add(mapping: Mapping): void {
    this.#byAddress.set(mapping.address, [...(this.#byAddress.get(mapping.address) ?? []), mapping]);
    this.#live++;
  }

  /** @throws DmaBufError `EINVAL` no mapping has this address and size; nothing changed */
  take(address: number, sizeBytes: number): Mapping {
    const here = this.#byAddress.get(address) ?? [];
    const found = here.find((m) => m.sizeBytes === sizeBytes);
    if (!found) throw notMapped(address, sizeBytes, here);
    const rest = here.filter((m) => m !== found);
    if (rest.length > 0) this.#byAddress.set(address, rest);
    else this.#byAddress.delete(address);
    this.#live--;
    return found;
  }

  /** The slot behind an address that may lie within a mapping; `null` where nothing bounces. */
  slotAt(address: number): PhysAddr | null {
    for (const mappings of this.#byAddress.values())
      for (const { address: first, sizeBytes, slot } of mappings)
        if (slot !== null && first <= address && address < first + sizeBytes)
          return (slot + (address - first)) as PhysAddr;
    return null;
  }

  get live(): number {
    return this.#live;
  }
}

/** @throws DmaBufError `EINVAL` no byte, or no number of bytes. */
export function checkMapped(physical: PhysAddr, sizeBytes: number): void {
  if (Number.isSafeInteger(sizeBytes) && sizeBytes > 0) return;
  throw new DmaBufError("EINVAL", {
    op: "dma_map_phys",
    stage: "map",
    message: `${sizeBytes} bytes at ${hex(physical)}: a mapping has at least one byte, map nothing instead`,
    values: { physical, sizeBytes },
  });
}

function notMapped(address: number, sizeBytes: number, here: readonly Mapping[]): DmaBufError {
  const sizes = here.map((m) => m.sizeBytes).join(", ") || "nothing";
  return new DmaBufError("EINVAL", {
    op: "dma_unmap_phys",
    stage: "map",
    message: `${sizeBytes} bytes at ${hex(address)}: ${sizes} is mapped there; unmap what was mapped, whole and once`,
    values: { address, sizeBytes },
  });
}
