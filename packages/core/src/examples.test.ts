import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as api from "./index.js";
import { asks, device, importer, kit, maps, mock } from "./testing.js";

examples(join(import.meta.dirname, ".."), () => {
  const { fw: framework, scheduler, env, exported, attach, fence } = kit(api.dmaAddress);
  const buf = exported();
  const known = {
    framework,
    scheduler,
    env,
    buf,
    attachment: attach(buf),
    fence: fence(),
    device,
    importer,
    names: mock,
  };
  return { ...api, ...known, ops: maps, frames: asks, file: { kind: "eventfd", *release() {} }, console: { log() {} } };
});
