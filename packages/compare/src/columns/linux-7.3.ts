import { linux73 } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/linux-7.3";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/linux-7.3";
import { vfioExporter } from "@dma-buf/exporter-vfio/linux-7.3";
import { gpuImporter } from "@dma-buf/importer-gpu/linux-7.3";
import { iommufdImporter } from "@dma-buf/importer-iommufd/linux-7.3";
import { kvmImporter } from "@dma-buf/importer-kvm/linux-7.3";
import { rdmaImporter } from "@dma-buf/importer-rdma/linux-7.3";
import type { Column } from "../column.js";

export const column: Column = {
  contract: linux73,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
