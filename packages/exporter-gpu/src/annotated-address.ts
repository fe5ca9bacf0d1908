/** Each address says its space: a peer on the fabric gets the fabric's, everybody else what the route asks for. */
import type { Attributes, DmaBufAttachment, Framework, PluginModule } from "@dma-buf/core";
import { mapPhysVecs } from "@dma-buf/scatterlist";
import { attachable, whyNotByAddress } from "./attach.js";
import { refuse } from "./buffer-object.js";
import { cpuSide } from "./cpu-side.js";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import { overFabric, type GpuOptions, type Variant } from "./gpu.js";
import type { GpuHost } from "./host.js";
import { pinnable } from "./placement.js";
import { type MapPlace, mappable, ramTable, ready, visible } from "./tables.js";

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
  if (!at.device) return frames(VRAM, visible(gpu, place));
  return yield* mapPhysVecs(at.device, visible(gpu, place), direction, { provider, mmio: true, attributes: VRAM });
};

const gtt: MapPlace = function* (gpu, place, at, direction) {
  return at.device ? yield* ramTable(RAM)(gpu, place, at, direction) : frames(RAM, visible(gpu, place));
};

const frames = (attributes: Attributes, vecs: ReturnType<typeof visible>): ReturnType<typeof ready> =>
  ready(
    { kind: "cpu-physical", attributes },
    vecs.map((v) => ({ address: v.physical, sizeBytes: v.sizeBytes })),
  );

const variant = (tellsFrames: boolean): Variant => ({
  settles: false,
  ops(gpu, bo) {
    const door = attachable(gpu, bo, { whyNoPeer: whyNotByAddress, refusesHere: false });
    const attach = (at: DmaBufAttachment): ReturnType<NonNullable<typeof door.attach>> =>
      at.device || tellsFrames ? door.attach?.(at) : noFrames(at);
    return { ...door, attach, ...pinnable(gpu, bo), ...mappable(gpu, bo, { vram, gtt }), ...cpuSide(gpu, bo) };
  },
});

const noFrames = (at: DmaBufAttachment): never =>
  refuse("EOPNOTSUPP", "amdgpu_dma_buf_attach", "attach", `${at.importerName} has no device to make addresses for`);

/** `gpuExporter(options)(framework, host)`. */
export const gpuExporter =
  (options: GpuAnnotatedOptions = {}) =>
  (framework: Framework, host: GpuHost): GpuExporter =>
    gpuEngine(framework, host, options, variant(options.tellsFrames ?? false));

export const dmaBufPlugin: PluginModule<GpuAnnotatedOptions, GpuHost, GpuExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: ["annotated-address"],
  capabilities: ["map", "pin", "cpu-access", "mmap", "vmap", "static", "move"],
  create: gpuExporter,
};
