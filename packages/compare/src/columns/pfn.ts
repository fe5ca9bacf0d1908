import { pfn } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/pfn";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/pfn";
import { vfioExporter } from "@dma-buf/exporter-vfio/pfn";
import { gpuImporter } from "@dma-buf/importer-gpu/pfn";
import { iommufdImporter } from "@dma-buf/importer-iommufd/pfn";
import { kvmImporter } from "@dma-buf/importer-kvm/pfn";
import { rdmaImporter } from "@dma-buf/importer-rdma/pfn";
import type { Column } from "../column.js";

export const column: Column = {
  contract: pfn,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
