import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { rig } from "../testing/rig.js";
import { gpuExporter } from "./linux-7.3.js";

examples(join(import.meta.dirname, ".."), () => {
  const { fw, memory, scheduler, device } = rig("linux-7.3", { windowPages: 8 });
  return { ...core, ...api, gpuExporter, framework: fw, host: memory, scheduler, device };
});
