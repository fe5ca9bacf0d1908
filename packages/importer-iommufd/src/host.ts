/** What IOMMUFD needs of the machine under it: a domain whose table it writes and devices walk. */
import type { Device, Op } from "@dma-buf/core";
import type { PageTable } from "@dma-buf/page-table";

export interface IommufdHost {
  /** The domain's table; IOMMUFD alone writes it. */
  readonly table: PageTable;
  attachDevice(device: Device): void;
  detachDevice(device: Device): void;
  /** Returns when the IOTLB holds nothing of this domain that was cached before the call. */
  flush(): Op<void>;
}
