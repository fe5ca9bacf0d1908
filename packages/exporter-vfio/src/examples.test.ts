import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { vfioExporter } from "./linux-7.3.js";
import { kit, TestImporter } from "./testing.js";

/** A kernel with one function, its exporter, and an importer with a device. */
examples(join(import.meta.dirname, ".."), () => {
  const { fw: framework, scheduler, host, exporter, peer } = kit(vfioExporter);
  const importer = new TestImporter(framework);
  return { ...core, ...api, vfioExporter, framework, scheduler, host, exporter, importer, device: peer.device };
});
