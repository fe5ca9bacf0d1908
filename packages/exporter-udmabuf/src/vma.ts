/** The importer takes page frames out of a CPU mapping, which every variant has: nothing is added. */
import type { PluginModule } from "@dma-buf/core";
import type { UdmabufExporter, UdmabufMergedOptions } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { factory, plugin, type UdmabufFactory } from "./variant.js";

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter: UdmabufFactory<UdmabufMergedOptions> = factory(() => ({}));

export const dmaBufPlugin: PluginModule<UdmabufMergedOptions, UdmabufHost, UdmabufExporter> = plugin(
  udmabufExporter,
  "vma",
);
