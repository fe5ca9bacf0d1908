/**
 * vfio-pci as a dma-buf exporter. The variants are `@dma-buf/exporter-vfio/dma-address`, `…/vma`, `…/pfn`,
 * `…/pfn-locked`, `…/annotated-address` and `…/linux-7.3`.
 *
 * @packageDocumentation
 */
export type { MemorySection, VfioExport, VfioExporter, VfioLedger } from "./exporter.js";
export {
  type DmaBufFeature,
  encodeDmaBufFeature,
  VFIO_DEVICE_FEATURE,
  VFIO_DEVICE_FEATURE_DMA_BUF,
  VFIO_DEVICE_FEATURE_FLAG,
} from "./feature-layout.js";
export type { FeatureSupport } from "./feature.js";
export { type HotReset, hotReset } from "./hot-reset.js";
export type { VfioHost, VfioRegion } from "./host.js";
export { IOMMUFD_MAP, type IommufdMap } from "./iommufd.js";
export {
  type PrivateBinding,
  VFIO_DMA_BUF_PRIVATE_KVM,
  VFIO_REGION_INFO_FLAG,
  type VfioDmaBufData,
  type VfioDmaBufGetData,
} from "./private.js";
export type { DmaRange } from "./validate.js";
export type { VfioFactory, VfioOptions } from "./variant.js";
