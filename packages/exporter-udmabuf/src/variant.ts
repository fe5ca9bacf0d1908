/** How the files that stand beside each other are made: one variant of the exporter each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { type UdmabufExporter, udmabufEngine, type UdmabufOptions, type Variant } from "./engine.js";
import type { UdmabufHost } from "./host.js";

/** `udmabufExporter(options)(framework, host)`: `/dev/udmabuf` of one process. */
export type UdmabufFactory<Options extends UdmabufOptions> = (
  options?: Options,
) => (framework: Framework, host: UdmabufHost) => UdmabufExporter;

export const factory =
  <Options extends UdmabufOptions>(variant: Variant): UdmabufFactory<Options> =>
  (options) =>
  (framework, host) =>
    udmabufEngine(framework, host, options ?? {}, variant);

/** What its module offers. The capabilities are those without options: with `movable` there is `move`, and `pin` where the contract has it. */
export const plugin = <Options extends UdmabufOptions>(
  create: UdmabufFactory<Options>,
  contract: string,
  ...access: string[]
): PluginModule<Options, UdmabufHost, UdmabufExporter> => ({
  schemaVersion: 1,
  kind: "exporter",
  name: "udmabuf",
  contracts: [contract],
  capabilities: [...access, "cpu-access", "mmap", "vmap"],
  create,
});
