/** As in pfn: the frames of RAM are the same; that they are asked for under the reservation is the core's and the importer's. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { type UdmabufExporter, udmabufEngine, type UdmabufOptions } from "./engine.js";
import { framed } from "./frames.js";
import type { UdmabufHost } from "./host.js";

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter =
  (options: UdmabufOptions = {}) =>
  (framework: Framework, host: UdmabufHost): UdmabufExporter =>
    udmabufEngine(framework, host, options, framed);

/** The capabilities are those without options; with `movable` there are `pin` and `move` too. */
export const dmaBufPlugin: PluginModule<UdmabufOptions, UdmabufHost, UdmabufExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "udmabuf",
  contracts: ["pfn-locked"],
  capabilities: ["get_pfn", "cpu-access", "mmap", "vmap"],
  create: udmabufExporter,
};
