/** The importer maps: the exporter tells in which page frames the memory lies. Posted by nobody for RAM. */
import type { PluginModule } from "@dma-buf/core";
import { framed } from "./frames.js";
import type { UdmabufExporter, UdmabufOptions } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { plugin, type UdmabufFactory, unpostedFactory } from "./variant.js";

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter: UdmabufFactory<UdmabufOptions> = unpostedFactory(framed);

export const dmaBufPlugin: PluginModule<UdmabufOptions, UdmabufHost, UdmabufExporter> = plugin(
  udmabufExporter,
  "pfn",
  "get_pfn",
);
