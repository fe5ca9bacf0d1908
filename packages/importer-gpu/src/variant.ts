/** How the files that stand beside each other are made: one variant of the importer each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { gpuEngine } from "./engine.js";
import type { GpuOptions, Variant } from "./gpu.js";
import type { GpuHost } from "./host.js";
import type { GpuImporter } from "./importer.js";

/**
 * `gpuImporter(options)(framework, host)`: the importer of one GPU. The framework's contract is to be the variant's.
 * @throws DmaBufError `EINVAL` at stage `fd`, from the second call: no host, no device, or a word that no option has
 */
export type GpuImporterFactory = (options?: GpuOptions) => (framework: Framework, host: GpuHost) => GpuImporter;

/** What the door is shown. */
export type GpuImporterPlugin = PluginModule<GpuOptions, GpuHost, GpuImporter>;

export const factory =
  (variant: Variant): GpuImporterFactory =>
  (options = {}) =>
  (framework, host) =>
    gpuEngine(framework, host, options, variant);

/** What its module offers. */
export const plugin = (create: GpuImporterFactory, contract: string, ...capabilities: string[]): GpuImporterPlugin => ({
  schemaVersion: 1,
  kind: "importer",
  name: "gpu",
  contracts: [contract],
  capabilities,
  create,
});
