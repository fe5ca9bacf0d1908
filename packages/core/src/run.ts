/** What a contract lets an importer see of a buffer: runs of consecutive bytes, each with an address and its space. */
import type { BusAddr, DmaAddr, FabricAddr, Iova, PhysAddr } from "./address.js";

/** Linux: `enum dma_data_direction`, without `DMA_NONE`. */
export type Direction = "to-device" | "from-device" | "bidirectional";

/** How memory may be reached: what the page-table entry of an importer should say. */
export interface Attributes {
  /** `uc` uncached (MMIO), `wc` write-combining, `wb` write-back. */
  readonly cache: "uc" | "wc" | "wb";
  /** Does a device's access look into the CPU's caches? */
  readonly snoop: boolean;
  /** The VM that alone may use it, by identity. A reading: nobody described such a tag. @defaultValue whoever holds the address */
  readonly owner?: object;
}

/** An address space that can be told from another of its kind by identity. */
export type Space =
  | { readonly kind: "pci-bus"; readonly bridge: object }
  | { readonly kind: "iova"; readonly domain: object }
  | { readonly kind: "device-private"; readonly fabric: object };

interface Extent {
  /** Byte offset in the buffer. */
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * Consecutive bytes of a buffer as one contract shows them to one importer.
 * - `dma`: the exporter mapped it for the attached device; no more is said.
 * - `cpu-physical`: a PFN. `attributes` is `null` where the contract does not say how it may be reached.
 * - `pci-bus`, `iova`, `device-private`: an address that says in which space it is valid.
 */
export type Run = Extent &
  (
    | { readonly kind: "dma"; readonly address: DmaAddr }
    | { readonly kind: "cpu-physical"; readonly address: PhysAddr; readonly attributes: Attributes | null }
    | { readonly kind: "pci-bus"; readonly address: BusAddr; readonly bridge: object; readonly attributes: Attributes }
    | { readonly kind: "iova"; readonly address: Iova; readonly domain: object; readonly attributes: Attributes }
    | {
        readonly kind: "device-private";
        readonly address: FabricAddr;
        readonly fabric: object;
        readonly attributes: Attributes;
      }
  );
