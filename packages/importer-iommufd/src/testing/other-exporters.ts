/** The exporters besides vfio-pci, each in every variant, on a world that stands. */
import { addr, type DmaBuf, type Framework, type PhysAddr } from "@dma-buf/core";
import type { BufferObject, GpuExporter, GpuHost } from "@dma-buf/exporter-gpu";
import { gpuExporter as gpuAnnotated } from "@dma-buf/exporter-gpu/annotated-address";
import { gpuExporter as gpuDmaAddress } from "@dma-buf/exporter-gpu/dma-address";
import { gpuExporter as gpuLinux73 } from "@dma-buf/exporter-gpu/linux-7.3";
import { gpuExporter as gpuPfn } from "@dma-buf/exporter-gpu/pfn";
import { gpuExporter as gpuPfnLocked } from "@dma-buf/exporter-gpu/pfn-locked";
import { gpuExporter as gpuVma } from "@dma-buf/exporter-gpu/vma";
import { udmabufExporter as udmabufAnnotated } from "@dma-buf/exporter-udmabuf/annotated-address";
import { udmabufExporter as udmabufDmaAddress } from "@dma-buf/exporter-udmabuf/dma-address";
import { udmabufExporter as udmabufLinux73 } from "@dma-buf/exporter-udmabuf/linux-7.3";
import { udmabufExporter as udmabufPfn } from "@dma-buf/exporter-udmabuf/pfn";
import { udmabufExporter as udmabufPfnLocked } from "@dma-buf/exporter-udmabuf/pfn-locked";
import { udmabufExporter as udmabufVma } from "@dma-buf/exporter-udmabuf/vma";
import { F_SEAL, GpuMemory } from "@dma-buf/machine";
import { type MachineWorld, PAGE } from "./machine-world.js";

type GpuFactory = () => (fw: Framework, host: GpuHost) => GpuExporter;

const GPU: Readonly<Record<string, GpuFactory>> = {
  "dma-address": gpuDmaAddress,
  vma: gpuVma,
  pfn: gpuPfn,
  "pfn-locked": gpuPfnLocked,
  "annotated-address": gpuAnnotated,
  "linux-7.3": gpuLinux73,
};

const UDMABUF: Readonly<Record<string, typeof udmabufPfn>> = {
  "dma-address": udmabufDmaAddress,
  vma: udmabufVma,
  pfn: udmabufPfn,
  "pfn-locked": udmabufPfnLocked,
  "annotated-address": udmabufAnnotated,
  "linux-7.3": udmabufLinux73,
};

/** A buffer of two pages in VRAM, all of which the BAR shows. */
export function vram(w: MachineWorld, id: string): { readonly buf: DmaBuf; readonly bo: BufferObject } {
  const memory = new GpuMemory(w.machine, w.vfio.name, {
    vramBytes: 16 * PAGE,
    windowBytes: 16 * PAGE,
    ram: { base: addr<PhysAddr>(0x2100_0000), sizeBytes: 16 * PAGE },
  });
  const exporter = (GPU[id] as GpuFactory)()(w.fw, memory);
  const bo = exporter.create({ sizeBytes: 2 * PAGE });
  return { buf: exporter.export(bo), bo };
}

/** A buffer of two pages of a memory file, whose bytes are given by `peek`. */
export function ramBuffer(w: MachineWorld, id: string): { readonly buf: DmaBuf; peek(offset: number): Uint8Array } {
  const fd = w.memfds.create(2 * PAGE);
  const file = w.memfds.memfd(fd);
  file.addSeals(F_SEAL.SHRINK);
  file.ranges(0, 2 * PAGE);
  const exporter = (UDMABUF[id] as typeof udmabufPfn)()(w.fw, w.memfds);
  const buf = exporter.create([{ memfd: fd, offset: 0, sizeBytes: 2 * PAGE }]);
  return { buf, peek: (offset) => file.read(offset, 16) };
}
