import { annotatedAddress } from "@dma-buf/core";
import { gpuExporter } from "@dma-buf/exporter-gpu/annotated-address";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/annotated-address";
import { vfioExporter } from "@dma-buf/exporter-vfio/annotated-address";
import { gpuImporter } from "@dma-buf/importer-gpu/annotated-address";
import { iommufdImporter } from "@dma-buf/importer-iommufd/annotated-address";
import { kvmImporter } from "@dma-buf/importer-kvm/annotated-address";
import { rdmaImporter } from "@dma-buf/importer-rdma/annotated-address";
import type { Column } from "../column.js";

export const column: Column = {
  contract: annotatedAddress,
  players: {
    exporters: { vfio: vfioExporter, gpu: gpuExporter, udmabuf: udmabufExporter },
    importers: { gpu: gpuImporter, kvm: kvmImporter, iommufd: iommufdImporter, rdma: rdmaImporter },
  },
};
