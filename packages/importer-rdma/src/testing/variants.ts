/** Who plays which part under which contract. */
import {
  annotatedAddress,
  type Contract,
  dmaAddress,
  type Framework,
  linux73,
  pfn,
  pfnLocked,
  vma,
} from "@dma-buf/core";
import type { GpuExporter, GpuOptions } from "@dma-buf/exporter-gpu";
import * as gpuAnnotatedAddress from "@dma-buf/exporter-gpu/annotated-address";
import * as gpuDmaAddress from "@dma-buf/exporter-gpu/dma-address";
import * as gpuLinux73 from "@dma-buf/exporter-gpu/linux-7.3";
import * as gpuPfn from "@dma-buf/exporter-gpu/pfn";
import * as gpuPfnLocked from "@dma-buf/exporter-gpu/pfn-locked";
import * as gpuVma from "@dma-buf/exporter-gpu/vma";
import * as udmabufAnnotatedAddress from "@dma-buf/exporter-udmabuf/annotated-address";
import * as udmabufDmaAddress from "@dma-buf/exporter-udmabuf/dma-address";
import * as udmabufLinux73 from "@dma-buf/exporter-udmabuf/linux-7.3";
import * as udmabufPfn from "@dma-buf/exporter-udmabuf/pfn";
import * as udmabufPfnLocked from "@dma-buf/exporter-udmabuf/pfn-locked";
import * as udmabufVma from "@dma-buf/exporter-udmabuf/vma";
import { vfioExporter as vfioAnnotatedAddress } from "@dma-buf/exporter-vfio/annotated-address";
import { vfioExporter as vfioDmaAddress } from "@dma-buf/exporter-vfio/dma-address";
import { vfioExporter as vfioLinux73 } from "@dma-buf/exporter-vfio/linux-7.3";
import { vfioExporter as vfioPfn } from "@dma-buf/exporter-vfio/pfn";
import { vfioExporter as vfioPfnLocked } from "@dma-buf/exporter-vfio/pfn-locked";
import { vfioExporter as vfioVma } from "@dma-buf/exporter-vfio/vma";
import { rdmaImporter as rdmaAnnotatedAddress } from "../annotated-address.js";
import { rdmaImporter as rdmaDmaAddress } from "../dma-address.js";
import { rdmaImporter as rdmaLinux73 } from "../linux-7.3.js";
import { rdmaImporter as rdmaPfn } from "../pfn.js";
import { rdmaImporter as rdmaPfnLocked } from "../pfn-locked.js";
import { rdmaImporter as rdmaVma } from "../vma.js";
import type { UdmabufExporter } from "@dma-buf/exporter-udmabuf";
import type { VfioFactory } from "@dma-buf/exporter-vfio";
import type { GpuMemory, MachineMemfds } from "@dma-buf/machine";
import type { RdmaFactory } from "../index.js";

export type VariantId = "dma-address" | "vma" | "pfn" | "pfn-locked" | "annotated-address" | "linux-7.3";

export interface Variant {
  readonly contract: Contract;
  readonly rdma: RdmaFactory;
  readonly vfio: VfioFactory;
  readonly gpu: (options?: GpuOptions) => (fw: Framework, host: GpuMemory) => GpuExporter;
  readonly udmabuf: (options?: {
    readonly asPosted?: boolean;
    readonly movable?: boolean;
  }) => (fw: Framework, host: MachineMemfds) => UdmabufExporter;
}

export const VARIANTS: Readonly<Record<VariantId, Variant>> = {
  "dma-address": {
    contract: dmaAddress,
    rdma: rdmaDmaAddress,
    vfio: vfioDmaAddress,
    gpu: gpuDmaAddress.gpuExporter,
    udmabuf: udmabufDmaAddress.udmabufExporter,
  },
  vma: {
    contract: vma,
    rdma: rdmaVma,
    vfio: vfioVma,
    gpu: gpuVma.gpuExporter,
    udmabuf: udmabufVma.udmabufExporter,
  },
  pfn: {
    contract: pfn,
    rdma: rdmaPfn,
    vfio: vfioPfn,
    gpu: gpuPfn.gpuExporter,
    udmabuf: udmabufPfn.udmabufExporter,
  },
  "pfn-locked": {
    contract: pfnLocked,
    rdma: rdmaPfnLocked,
    vfio: vfioPfnLocked,
    gpu: gpuPfnLocked.gpuExporter,
    udmabuf: udmabufPfnLocked.udmabufExporter,
  },
  "annotated-address": {
    contract: annotatedAddress,
    rdma: rdmaAnnotatedAddress,
    vfio: vfioAnnotatedAddress,
    gpu: gpuAnnotatedAddress.gpuExporter,
    udmabuf: udmabufAnnotatedAddress.udmabufExporter,
  },
  "linux-7.3": {
    contract: linux73,
    rdma: rdmaLinux73,
    vfio: vfioLinux73,
    gpu: gpuLinux73.gpuExporter,
    udmabuf: udmabufLinux73.udmabufExporter,
  },
};
