import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as file from "@dma-buf/file";
import * as api from "./index.js";
import { world } from "./testing.js";

examples(join(import.meta.dirname, ".."), () => {
  const { scheduler, env, fence } = world();
  const [first, second] = [fence(), fence()];
  const container = api.createFenceArray(env, [fence(), fence()]);
  const done = fence();
  done.signal();
  const buf = { resv: new core.DmaResv("R", env) };
  const framework = new core.Framework({ contract: core.linux73, scheduler });
  const ops = { mapDmaBuf: () => ({ runs: [] }), unmapDmaBuf() {}, release() {} };
  const names = { first, second, left: done, right: first, copy: fence(), clear: fence(), render: fence(), container };
  return { ...core, ...file, ...api, ...names, framework, scheduler, env, buf, ops, fds: new file.FdTable() };
});
