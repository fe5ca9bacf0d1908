/** As in pfn: the frames of RAM are the same; that they are asked for under the reservation is the core's and the importer's. */
import type { PluginModule } from "@dma-buf/core";
import { framed } from "./frames.js";
import type { UdmabufExporter, UdmabufOptions } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { plugin, type UdmabufFactory, unpostedFactory } from "./variant.js";

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter: UdmabufFactory<UdmabufOptions> = unpostedFactory(framed);

export const dmaBufPlugin: PluginModule<UdmabufOptions, UdmabufHost, UdmabufExporter> = plugin(
  udmabufExporter,
  "pfn-locked",
  "get_pfn",
);
