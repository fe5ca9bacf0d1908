import { dmaAddress } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/dma-address";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/dma-address";
import { vfioExporter } from "@dma-buf/exporter-vfio/dma-address";
import { gpuImporter } from "@dma-buf/importer-gpu/dma-address";
import { iommufdImporter } from "@dma-buf/importer-iommufd/dma-address";
import { kvmImporter } from "@dma-buf/importer-kvm/dma-address";
import { rdmaImporter } from "@dma-buf/importer-rdma/dma-address";
import type { Column } from "../column.js";

export const column: Column = {
  contract: dmaAddress,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
