/** Which packages play which part under which contract. A column is data: another contract is another entry. */
import { type Contract, dmaAddress, type Framework, pfn } from "@dma-buf/core";
import type { VfioExporter, VfioHost } from "@dma-buf/exporter-vfio";
import { vfioExporter as vfioDmaAddress } from "@dma-buf/exporter-vfio/dma-address";
import { vfioExporter as vfioPfn } from "@dma-buf/exporter-vfio/pfn";
import type { GpuHost, GpuImporter, GpuOptions } from "@dma-buf/importer-gpu";
import { gpuImporter as gpuDmaAddress } from "@dma-buf/importer-gpu/dma-address";
import { gpuImporter as gpuPfn } from "@dma-buf/importer-gpu/pfn";
import type { Iommufd, IommufdHost, IommufdOptions } from "@dma-buf/importer-iommufd";
import { iommufdImporter as iommufdDmaAddress } from "@dma-buf/importer-iommufd/dma-address";
import { iommufdImporter as iommufdPfn } from "@dma-buf/importer-iommufd/pfn";
import type { KvmHost, KvmImporter, KvmOptions } from "@dma-buf/importer-kvm";
import { kvmImporter as kvmDmaAddress } from "@dma-buf/importer-kvm/dma-address";
import { kvmImporter as kvmPfn } from "@dma-buf/importer-kvm/pfn";

export interface Column {
  readonly contract: Contract;
  readonly vfio: (options: { asPosted: boolean }) => (fw: Framework, host: VfioHost) => VfioExporter;
  readonly gpu: (options: GpuOptions) => (fw: Framework, host: GpuHost) => GpuImporter;
  readonly kvm: (options: KvmOptions) => (fw: Framework, host: KvmHost) => KvmImporter;
  readonly iommufd: (options: IommufdOptions) => (fw: Framework, host: IommufdHost) => Iommufd;
}

/** The columns that come with this package, in order. */
export const columns: readonly Column[] = [
  { contract: dmaAddress, vfio: vfioDmaAddress, gpu: gpuDmaAddress, kvm: kvmDmaAddress, iommufd: iommufdDmaAddress },
  { contract: pfn, vfio: vfioPfn, gpu: gpuPfn, kvm: kvmPfn, iommufd: iommufdPfn },
];
