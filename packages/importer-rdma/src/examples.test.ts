import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { rdmaImporter } from "./linux-7.3.js";

examples(join(import.meta.dirname, ".."), () => ({
  ...core,
  ...api,
  rdmaImporter,
  scheduler: new core.Scheduler(),
}));
