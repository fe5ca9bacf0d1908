import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import { RecordingHost } from "@dma-buf/conformance";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { udmabufExporter } from "./pfn-locked.js";
import { PaperHost } from "./testing.js";

examples(join(import.meta.dirname, ".."), () => {
  const scheduler = new core.Scheduler();
  return {
    ...core,
    ...api,
    udmabufExporter,
    scheduler,
    framework: new core.Framework({ contract: core.pfnLocked, scheduler }),
    host: new PaperHost(),
    device: new RecordingHost().device,
    memfd: PaperHost.FD,
  };
});
