/** As in dma-address: between Linux 6.13 and 7.3 the core around the driver changed, and what it does for importers did not. */
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
  "linux-7.3",
  "map",
  "static",
);
