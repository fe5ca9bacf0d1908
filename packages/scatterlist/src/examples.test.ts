import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import { RecordingHost } from "@dma-buf/conformance";
import * as core from "@dma-buf/core";
import * as api from "./index.js";

examples(join(import.meta.dirname, ".."), () => ({
  ...core,
  ...api,
  host: new RecordingHost(),
  scheduler: new core.Scheduler(),
}));
