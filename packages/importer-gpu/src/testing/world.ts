/** What a race needs of the world around a GPU's driver: without a machine, for all orders, or with one, for its bytes. */
import type { DmaBuf, Framework, Op, Scheduler } from "@dma-buf/core";
import type { BufferObject, GpuExporter } from "@dma-buf/exporter-gpu";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import type { GpuImporter, GpuOptions } from "../index.js";
import type { VariantId } from "./variants.js";

export interface World {
  readonly fw: Framework;
  readonly vfio: VfioExporter;
  readonly exporter: GpuExporter;
  readonly gpu: GpuImporter;
  /** Where {@link bar} begins, by CPU-physical address. */
  readonly barAt: number;
  run<T>(op: Op<T>): T;
  /** One page of the assigned function's BAR. */
  bar(): DmaBuf;
  /** One page of the exporting GPU. */
  bo(): { readonly bo: BufferObject; readonly buf: DmaBuf };
  /** The byte at a CPU-physical address. */
  peek(place: number): number;
  poke(place: number, value: number): void;
  /** What the buffer object has as its first byte, wherever it is. */
  byteOf(bo: BufferObject): number;
  /** All that is out and should not be, in words. */
  left(): string[];
}

export interface WorldOptions {
  readonly importer?: GpuOptions;
  /** How the GPU reaches peers, where the world leaves it open. @defaultValue through the host bridge, by an IOVA */
  readonly mapType?: "through-host-bridge" | "bus-address";
}

export type Build = (scheduler: Scheduler, id: VariantId, options: WorldOptions) => World;
