/** Each address says where it is valid and how it may be reached. Without a device it is a CPU's. Posted by nobody. */
import type { Attributes, PluginModule } from "@dma-buf/core";
import type { UdmabufExporter, UdmabufOptions, Variant } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { mapped } from "./mapped.js";
import { plugin, type UdmabufFactory, unpostedFactory } from "./variant.js";

/** RAM is cacheable, and a device's access looks into the caches. */
const attributes: Attributes = { cache: "wb", snoop: true };

const variant: Variant = (backing) => mapped(backing, { bounces: false, attributes });

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter: UdmabufFactory<UdmabufOptions> = unpostedFactory(variant);

export const dmaBufPlugin: PluginModule<UdmabufOptions, UdmabufHost, UdmabufExporter> = plugin(
  udmabufExporter,
  "annotated-address",
  "map",
  "static",
);
