import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { kit, plain } from "./testing.js";

examples(join(import.meta.dirname, ".."), () => {
  const { framework, scheduler, files, exported } = kit();
  return {
    ...core,
    ...api,
    framework,
    scheduler,
    files,
    buf: exported(),
    ops: plain,
    file: { kind: "x", *release() {} },
  };
});
