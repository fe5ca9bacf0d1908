import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { importerOf } from "./testing.js";

/** The plugins of the README. */
const myExporter = () => (framework: core.Framework) => {
  const reference = api.referenceExporter(framework);
  return {
    export: () => reference.buf,
    revoke: () => reference.revoke(),
    *restore() {
      reference.restore();
    },
    move: () => reference.move(),
  };
};
const myImporter = () => importerOf(core.linux73).create;
/** An example's trace is for its reader. */
const console = { log() {} };

examples(join(import.meta.dirname, ".."), () => {
  const scheduler = new core.Scheduler();
  const framework = new core.Framework({ contract: core.linux73, scheduler });
  const subject = {
    kind: "exporter",
    name: "reference exporter",
    contract: core.linux73,
    capabilities: ["map", "pin", "static", "mmap", "revoke", "move"],
    create: myExporter(),
  };
  const runner = { describe: (_: string, body: () => void) => body(), it: (_: string, body: () => void) => body() };
  const names = { buf: api.referenceExporter(framework).buf, host: new api.RecordingHost(), create: () => null };
  return { ...core, ...api, ...names, ...runner, framework, scheduler, subject, myExporter, myImporter, console };
});
