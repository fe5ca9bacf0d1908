import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { udmabufExporter } from "./pfn-locked.js";

examples(join(import.meta.dirname, ".."), () => ({
  ...core,
  ...api,
  udmabufExporter,
  scheduler: new core.Scheduler(),
}));
