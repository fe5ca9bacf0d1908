/** The exporter maps for the attached device. As merged, a device that does not reach the pages gets a copy; else it is refused. */
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
  contracts: ["dma-address"],
  capabilities: ["map", "static", "cpu-access", "mmap", "vmap"],
  create: udmabufExporter,
};
