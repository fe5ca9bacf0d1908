/** All variants, each with its contract, and what the exporters of the same contract are. */
import { type Contract, contracts } from "@dma-buf/core";
import * as exportGpuAnnotated from "@dma-buf/exporter-gpu/annotated-address";
import * as exportGpuDma from "@dma-buf/exporter-gpu/dma-address";
import * as exportGpu73 from "@dma-buf/exporter-gpu/linux-7.3";
import * as exportGpuPfn from "@dma-buf/exporter-gpu/pfn";
import * as exportGpuLocked from "@dma-buf/exporter-gpu/pfn-locked";
import * as exportGpuVma from "@dma-buf/exporter-gpu/vma";
import * as udmabufAnnotated from "@dma-buf/exporter-udmabuf/annotated-address";
import * as udmabufDma from "@dma-buf/exporter-udmabuf/dma-address";
import * as udmabuf73 from "@dma-buf/exporter-udmabuf/linux-7.3";
import * as udmabufPfn from "@dma-buf/exporter-udmabuf/pfn";
import * as udmabufLocked from "@dma-buf/exporter-udmabuf/pfn-locked";
import * as udmabufVma from "@dma-buf/exporter-udmabuf/vma";
import * as vfioAnnotated from "@dma-buf/exporter-vfio/annotated-address";
import * as vfioDma from "@dma-buf/exporter-vfio/dma-address";
import * as vfio73 from "@dma-buf/exporter-vfio/linux-7.3";
import * as vfioPfn from "@dma-buf/exporter-vfio/pfn";
import * as vfioLocked from "@dma-buf/exporter-vfio/pfn-locked";
import * as vfioVma from "@dma-buf/exporter-vfio/vma";
import * as annotatedAddress from "../annotated-address.js";
import * as dmaAddress from "../dma-address.js";
import * as linux73 from "../linux-7.3.js";
import * as pfn from "../pfn.js";
import * as pfnLocked from "../pfn-locked.js";
import type { GpuImporterFactory, GpuImporterPlugin } from "../index.js";
import * as vma from "../vma.js";

export type VariantId = "dma-address" | "vma" | "pfn" | "pfn-locked" | "annotated-address" | "linux-7.3";
/** Those whose contract can serve a GPU. */
export const SERVING = ["dma-address", "pfn", "pfn-locked", "annotated-address", "linux-7.3"] as const;

interface Parts {
  readonly importer: { readonly gpuImporter: GpuImporterFactory; readonly dmaBufPlugin: GpuImporterPlugin };
  readonly vfio: Pick<typeof vfioDma, "vfioExporter">;
  readonly udmabuf: Pick<typeof udmabufDma, "udmabufExporter">;
  readonly gpu: { readonly gpuExporter: (typeof exportGpuDma)["gpuExporter"] };
}

export const VARIANTS: Readonly<Record<VariantId, Parts>> = {
  "dma-address": { importer: dmaAddress, vfio: vfioDma, gpu: exportGpuDma, udmabuf: udmabufDma },
  vma: { importer: vma, vfio: vfioVma, gpu: exportGpuVma, udmabuf: udmabufVma },
  pfn: { importer: pfn, vfio: vfioPfn, gpu: exportGpuPfn, udmabuf: udmabufPfn },
  "pfn-locked": { importer: pfnLocked, vfio: vfioLocked, gpu: exportGpuLocked, udmabuf: udmabufLocked },
  "annotated-address": {
    importer: annotatedAddress,
    vfio: vfioAnnotated,
    gpu: exportGpuAnnotated,
    udmabuf: udmabufAnnotated,
  },
  "linux-7.3": { importer: linux73, vfio: vfio73, gpu: exportGpu73, udmabuf: udmabuf73 },
};

export function contractOf(id: VariantId): Contract {
  return contracts.find((c) => c.id === id) as Contract;
}
