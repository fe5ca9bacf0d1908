/** How the files that stand beside each other are made: one variant of the exporter each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { gpuEngine } from "./engine.js";
import type { GpuExporter } from "./exporter.js";
import type { GpuOptions, Variant } from "./gpu.js";
import type { GpuHost } from "./host.js";

const DRIVERS: readonly NonNullable<GpuOptions["driver"]>[] = ["amdgpu", "xe"];

/** `gpuExporter(options)(framework, host)`: the driver of one GPU. @throws TypeError for a driver that is none */
export type GpuFactory<Options extends GpuOptions> = (
  options?: Options,
) => (framework: Framework, host: GpuHost) => GpuExporter;

export type GpuPlugin<Options extends GpuOptions> = PluginModule<Options, GpuHost, GpuExporter>;

export const factory =
  <Options extends GpuOptions>(variant: (options: Partial<Options>) => Variant): GpuFactory<Options> =>
  (options) => {
    const made = variant(options ?? {});
    // The types leave `asPosted` out where nothing was posted; who calls from JavaScript may bring it all the same.
    const { asPosted = false, ...others }: GpuOptions = options ?? {};
    needDriver(others.driver);
    return (framework, host) => gpuEngine(framework, host, { ...others, asPosted: asPosted && made.posted }, made);
  };

function needDriver(driver: GpuOptions["driver"] = "amdgpu"): void {
  if (!DRIVERS.includes(driver))
    throw new TypeError(`options.driver ${driver} is none: give ${DRIVERS.join(" or ")}, or leave it out`);
}

/** What its module offers. */
export const plugin = <Options extends GpuOptions>(
  create: GpuFactory<Options>,
  contract: string,
  ...access: string[]
): GpuPlugin<Options> => ({
  schemaVersion: 1,
  kind: "exporter",
  name: "amdgpu",
  contracts: [contract],
  capabilities: [...access, "cpu-access", "mmap", "vmap", "move"],
  create,
});
