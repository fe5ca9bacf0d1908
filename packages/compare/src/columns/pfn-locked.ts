import { pfnLocked } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/pfn-locked";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/pfn-locked";
import { vfioExporter } from "@dma-buf/exporter-vfio/pfn-locked";
import { gpuImporter } from "@dma-buf/importer-gpu/pfn-locked";
import { iommufdImporter } from "@dma-buf/importer-iommufd/pfn-locked";
import { kvmImporter } from "@dma-buf/importer-kvm/pfn-locked";
import { rdmaImporter } from "@dma-buf/importer-rdma/pfn-locked";
import type { Column } from "../column.js";

export const column: Column = {
  contract: pfnLocked,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
