/** What the DMA API of a translated device is made of. */
import type { TableMemory } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";
import type { IommuDomain } from "../iommu/domain.js";
import type { IommuUnit } from "../iommu/unit.js";
import type { IovaAllocator } from "./iova.js";
import type { Swiotlb } from "./swiotlb.js";

/** What stands around the default domain of one device. */
export interface IommuDmaInit {
  readonly unit: IommuUnit;
  readonly domain: IommuDomain;
  readonly table: PageTable;
  readonly tables: TableMemory;
  readonly iovas: IovaAllocator;
  /** Of the device. */
  readonly maskBits: number;
  readonly flush: "strict" | "lazy";
  /** Pages that the device would share with other data are bounced. */
  readonly isUntrusted: boolean;
  /** `null`: there are no bounce buffers, and what must bounce is refused. */
  readonly bounce: Swiotlb | null;
}
