import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as pageTable from "@dma-buf/page-table";
import * as api from "./index.js";
import { gpuImporter } from "./linux-7.3.js";
import { Light } from "./testing/light.js";

/** A kernel with a GPU that imports, and a buffer. */
examples(join(import.meta.dirname, ".."), () => {
  const scheduler = new core.Scheduler();
  const light = new Light(scheduler, "linux-7.3", {});
  return {
    ...core,
    ...pageTable,
    ...api,
    gpuImporter,
    scheduler,
    framework: light.fw,
    gpu: light.gpu,
    buf: light.bar(),
  };
});
