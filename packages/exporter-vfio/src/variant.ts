/** How the files that stand beside each other are made: one variant of the exporter each, by its contract. */
import type { DmaBufOps, Framework, PluginModule } from "@dma-buf/core";
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
}

/** `vfioExporter(options)(framework, host)`: the exporter of one function. */
export type VfioFactory = (options?: VfioOptions) => (framework: Framework, host: VfioHost) => VfioExporter;

/** The variant as it should be, and as it was posted where that differs. */
export interface Both {
  readonly conforming: Operations;
  readonly asPosted?: Operations;
  /** Is the posted code that of 2022 to 2025? A revoke waits for nothing, and an empty range is exported. @defaultValue false */
  readonly early?: boolean;
}

export const variant =
  ({ conforming, asPosted: posted, early = false }: Both): VfioFactory =>
  (options = {}) => {
    needOptions(options);
    const { asPosted: wanted = false, support = {} } = options;
    // Where nothing was posted, there is one code to play.
    const asPosted = wanted && posted !== undefined;
    const ops = asPosted ? posted : conforming;
    const isEarly = asPosted && early;
    return (framework, host) =>
      vfioEngine(framework, host, { ops, asPosted, waits: !isEarly, takesEmpty: isEarly, support });
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
