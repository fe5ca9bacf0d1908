import { vma } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/vma";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/vma";
import { vfioExporter } from "@dma-buf/exporter-vfio/vma";
import { gpuImporter } from "@dma-buf/importer-gpu/vma";
import { iommufdImporter } from "@dma-buf/importer-iommufd/vma";
import { kvmImporter } from "@dma-buf/importer-kvm/vma";
import { rdmaImporter } from "@dma-buf/importer-rdma/vma";
import type { Column } from "../column.js";

export const column: Column = {
  contract: vma,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
