import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";

/** The plugin of the README. */
const myExporter = () => (framework: core.Framework) => {
  const reference = api.referenceExporter(framework);
  return {
    export: () => reference.buf,
    revoke: () => reference.revoke(),
    *restore() {
      reference.restore();
    },
  };
};

examples(join(import.meta.dirname, ".."), () => {
  const scheduler = new core.Scheduler();
  const framework = new core.Framework({ contract: core.linux73, scheduler });
  const subject = {
    kind: "exporter",
    name: "reference exporter",
    contract: core.linux73,
    capabilities: ["map", "pin", "static", "mmap", "revoke"],
    create: myExporter(),
  };
  const runner = { describe: (_: string, body: () => void) => body(), it: (_: string, body: () => void) => body() };
  const names = { buf: api.referenceExporter(framework).buf, host: new api.RecordingHost(), create: () => null };
  return { ...core, ...api, ...names, ...runner, framework, scheduler, subject, myExporter };
});
