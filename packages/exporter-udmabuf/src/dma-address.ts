/** The exporter maps for the attached device. As merged, a device that does not reach the pages gets a copy; else it is refused. */
import type { PluginModule } from "@dma-buf/core";
import type { UdmabufExporter, UdmabufMergedOptions, Variant } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { mapped } from "./mapped.js";
import { factory, plugin, type UdmabufFactory } from "./variant.js";

const variant: Variant = (backing) => mapped(backing, { bounces: backing.world.asPosted });

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter: UdmabufFactory<UdmabufMergedOptions> = factory(variant);

export const dmaBufPlugin: PluginModule<UdmabufMergedOptions, UdmabufHost, UdmabufExporter> = plugin(
  udmabufExporter,
  "dma-address",
  "map",
  "static",
);
