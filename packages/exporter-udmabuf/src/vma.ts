/** The importer takes page frames out of a CPU mapping, which every variant has: nothing is added. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { type UdmabufExporter, type UdmabufMergedOptions, udmabufEngine } from "./engine.js";
import type { UdmabufHost } from "./host.js";

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter =
  (options: UdmabufMergedOptions = {}) =>
  (framework: Framework, host: UdmabufHost): UdmabufExporter =>
    udmabufEngine(framework, host, options, () => ({}));

/** The capabilities are those without options; with `movable` there is `move` too. */
export const dmaBufPlugin: PluginModule<UdmabufMergedOptions, UdmabufHost, UdmabufExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "udmabuf",
  contracts: ["vma"],
  capabilities: ["cpu-access", "mmap", "vmap"],
  create: udmabufExporter,
};
