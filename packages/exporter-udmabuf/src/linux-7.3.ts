/** As in dma-address: between Linux 6.13 and 7.3 the core around the driver changed, and what it does for importers did not. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { type UdmabufExporter, type UdmabufMergedOptions, udmabufEngine, type Variant } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { mapped } from "./mapped.js";

const variant: Variant = (backing) => mapped(backing, { bounces: backing.world.asPosted });

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter =
  (options: UdmabufMergedOptions = {}) =>
  (framework: Framework, host: UdmabufHost): UdmabufExporter =>
    udmabufEngine(framework, host, options, variant);

/** The capabilities are those without options; with `movable` there are `pin` and `move` too. */
export const dmaBufPlugin: PluginModule<UdmabufMergedOptions, UdmabufHost, UdmabufExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "udmabuf",
  contracts: ["linux-7.3"],
  capabilities: ["map", "static", "cpu-access", "mmap", "vmap"],
  create: udmabufExporter,
};
