/** How a machine is made. */
import type { TableMemory, Trace } from "@dma-buf/core";
import type { Topology } from "@dma-buf/pci";
import type { DirectRegion } from "./dma/reserved.js";
import type { IommuKind } from "./iommu/kind.js";

/** `off` and `identity` pass addresses through; `translated` gives each device a domain of its own. */
export type IommuMode = "off" | "identity" | "translated";

/** How devices reach memory: what a kernel's command line, firmware and drivers say. */
export interface DmaPolicy {
  readonly iommu: IommuMode;
  /**
   * Does unmapping wait for the flush, or queue it? A queue is flushed when 256 wait, and by
   * `Machine.flushQueueTimer()`. Linux: `iommu.strict=`. @defaultValue "strict"
   */
  readonly flush?: "strict" | "lazy";
  /** Of every device, or by function. @defaultValue 64 */
  readonly dmaMaskBits?: number | ReadonlyMap<string, number>;
  /** Bus addresses that no device's requests get beyond, bytes. Linux: `bus_dma_limit`. @defaultValue none */
  readonly busDmaLimit?: number;
  /** Bytes of bounce buffers, at 512 MiB; 0: there are none. @defaultValue 4 MiB */
  readonly swiotlbBytes?: number;
  /** What firmware says that devices use, mapped one to one in their default domains. @defaultValue none */
  readonly directRegions?: readonly DirectRegion[];
  /**
   * Addresses of functions that are not trusted: translated unless the mode is `off`, flushed strictly, without ATS, and
   * pages they would share with other data are bounced. @defaultValue none
   */
  readonly untrusted?: readonly string[];
}

export interface MachineOptions extends DmaPolicy {
  readonly topology: Topology;
  readonly trace: Trace;
  /** Whose tables and fault reports. @defaultValue "vt-d" */
  readonly iommuKind?: IommuKind;
  /** Records that the unit has for faults. @defaultValue 8 */
  readonly iommuFaultsMax?: number;
  /** Does the root complex forward peer requests between its ports? A fact of the hardware, not of Linux's policy. */
  readonly rootComplexForwards: boolean;
  /** RAM that there is at most, below the lowest BAR. @defaultValue 2 GiB */
  readonly ramBytesMax?: number;
  /** Do devices look into the caches of the CPUs? @defaultValue true */
  readonly coherent?: boolean;
  /** @defaultValue 256 tables, 1 MiB */
  readonly tablesMax?: number;
  /** The page-table memory of a machine that is over, to be used again: it is cleared. Of another size it is not taken. */
  readonly usedTables?: TableMemory | null;
}
