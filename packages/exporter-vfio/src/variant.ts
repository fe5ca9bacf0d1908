/** How the files that stand beside each other are made: one variant of the exporter each, by its contract. */
import type { Attributes, DmaBufOps, Framework, PluginModule } from "@dma-buf/core";
import type { VfioDmaBuf } from "./buffer.js";
import { vfioEngine } from "./engine.js";
import type { VfioExporter } from "./exporter.js";
import type { FeatureSupport } from "./feature.js";
import type { VfioHost } from "./host.js";
import { needOptions } from "./shape.js";

/** What one contract makes of a buffer: the operations besides `release`. */
export type Operations = (priv: VfioDmaBuf) => Omit<DmaBufOps, "release">;

/** What all variants can be told. */
export interface VfioOptions {
  /** The code as it was posted or merged, with what is wrong in it. @defaultValue false: the best that obeys the contract */
  readonly asPosted?: boolean;
  /** What the kernel and the function's driver can do. @defaultValue all */
  readonly support?: FeatureSupport;
  /** How the function's memory wants to be reached, where a contract can say so. @defaultValue uncached, as a BAR is */
  readonly memory?: Attributes;
  /** Does an annotated address say whose alone it is? Nobody described such a tag. @defaultValue false */
  readonly tagsOwner?: boolean;
}

/** `vfioExporter(options)(framework, host)`: the exporter of one function. */
export type VfioFactory = (options?: VfioOptions) => (framework: Framework, host: VfioHost) => VfioExporter;

/** The variant as it should be, and as it was posted where that differs. */
export interface Both {
  readonly conforming: Operations;
  readonly asPosted?: Operations;
  /** Is the posted code that of 2022 to 2025? A revoke waits for nothing, and an empty range is exported. @defaultValue false */
  readonly early?: boolean;
  /**
   * Is a buffer a mapping of the region? Then `mmap()` refuses an empty one, and the end of a BAR that is smaller than a page
   * brings the rest of the page. @defaultValue false
   */
  readonly byPage?: boolean;
}

/** A BAR: device memory, which no CPU caches. */
const UNCACHED: Attributes = { cache: "uc", snoop: false };

export const variant =
  ({ conforming, asPosted: posted, early = false, byPage = false }: Both): VfioFactory =>
  (options = {}) => {
    needOptions(options);
    const { asPosted: wanted = false, support = {}, memory = UNCACHED, tagsOwner = false } = options;
    // Where nothing was posted, there is one code to play.
    const asPosted = wanted && posted !== undefined;
    const ops = asPosted ? posted : conforming;
    const isEarly = asPosted && early;
    const said = { memory, tagsOwner, support };
    return (framework, host) =>
      vfioEngine(framework, host, { ...said, ops, asPosted, waits: !isEarly, takesEmpty: isEarly || byPage, byPage });
  };

/** What the door is shown. */
export type VfioPlugin = PluginModule<VfioOptions, VfioHost, VfioExporter>;

export const plugin = (create: VfioFactory, contract: string, ...capabilities: string[]): VfioPlugin => ({
  schemaVersion: 1,
  kind: "exporter",
  name: "vfio-pci",
  contracts: [contract],
  capabilities,
  create,
});
