/** Each address says its space: a peer on the fabric gets the fabric's, everybody else what the route asks for. */
import type { Attributes, DmaBufAttachment } from "@dma-buf/core";
import { mapPhysVecs } from "@dma-buf/scatterlist";
import { attachable, whyNotByAddress } from "./attach.js";
import { refuse } from "./buffer-object.js";
import { cpuSide } from "./cpu-side.js";
import { overFabric, type GpuOptions, type Variant } from "./gpu.js";
import { pinnable } from "./placement.js";
import { type MapPlace, mappable, ramTable, ready, visible } from "./tables.js";
import { factory, type GpuFactory, type GpuPlugin, plugin } from "./variant.js";

/** Nobody posted it: there is no `asPosted`. */
export interface GpuAnnotatedOptions extends Omit<GpuOptions, "asPosted"> {
  /** Does an importer without a device get CPU-physical addresses? DRM's maintainers would not. @defaultValue false */
  readonly tellsFrames?: boolean;
}

const VRAM: Attributes = { cache: "wc", snoop: false };
const RAM: Attributes = { cache: "wb", snoop: true };

const vram: MapPlace = function* (gpu, place, at, direction) {
  const { fabric, provider } = gpu.host;
  if (fabric && (overFabric(gpu, at) || !gpu.memory.isVisible(place))) {
    const common = { kind: "device-private", fabric: fabric.fabric, attributes: VRAM } as const;
    return ready(common, gpu.memory.fabricBlocks(place) ?? []);
  }
  return yield* mapPhysVecs(at.device, visible(gpu, place), direction, { provider, mmio: true, attributes: VRAM });
};

const variant = (tellsFrames: boolean): Variant => ({
  settles: false,
  posted: false,
  ops(gpu, bo) {
    const door = attachable(gpu, bo, { whyNoPeer: whyNotByAddress, refusesHere: false });
    const attach = (at: DmaBufAttachment): ReturnType<NonNullable<typeof door.attach>> =>
      at.device || tellsFrames ? door.attach?.(at) : noFrames(at);
    return {
      ...door,
      attach,
      ...pinnable(gpu, bo),
      ...mappable(gpu, bo, { vram, gtt: ramTable(RAM) }),
      ...cpuSide(gpu, bo),
    };
  },
});

const noFrames = (at: DmaBufAttachment): never =>
  refuse("EOPNOTSUPP", "amdgpu_dma_buf_attach", "attach", `${at.importerName} has no device to make addresses for`);

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter: GpuFactory<GpuAnnotatedOptions> = factory(({ tellsFrames = false }) => variant(tellsFrames));

export const dmaBufPlugin: GpuPlugin<GpuAnnotatedOptions> = plugin(
  gpuExporter,
  "annotated-address",
  "map",
  "pin",
  "static",
);
