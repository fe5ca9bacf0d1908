/** How the files that stand beside each other are made: one variant of the exporter each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import {
  type UdmabufExporter,
  udmabufEngine,
  type UdmabufMergedOptions,
  type UdmabufOptions,
  type Variant,
} from "./engine.js";
import type { UdmabufHost } from "./host.js";

/** `udmabufExporter(options)(framework, host)`: `/dev/udmabuf` of one process. */
export type UdmabufFactory<Options extends UdmabufOptions> = (
  options?: Options,
) => (framework: Framework, host: UdmabufHost) => UdmabufExporter;

/** Of what was merged: it can be had as posted. */
export const factory =
  (variant: Variant): UdmabufFactory<UdmabufMergedOptions> =>
  (options = {}) =>
  (framework, host) =>
    udmabufEngine(framework, host, options, variant);

/** Of what nobody posted: there is no such code, and a caller without types may ask for it all the same. */
export const unpostedFactory =
  (variant: Variant): UdmabufFactory<UdmabufOptions> =>
  (options) =>
    factory(variant)({ ...options, asPosted: false });

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
