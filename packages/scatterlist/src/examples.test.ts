import { join } from "node:path";
import { examples } from "@dma-buf/config/examples";
import { RecordingHost, ReferenceImporter, referenceExporter } from "@dma-buf/conformance";
import * as core from "@dma-buf/core";
import * as api from "./index.js";
import { awaited } from "./awaited.js";
import { Told } from "./told.js";

examples(join(import.meta.dirname, ".."), () => {
  const scheduler = new core.Scheduler();
  const framework = new core.Framework({ contract: core.dmaAddress, scheduler });
  const host = new RecordingHost();
  const importer = new ReferenceImporter(framework);
  scheduler.complete("attach", importer.attach(referenceExporter(framework).buf, host.device));
  const { attachment } = importer;
  // Some examples are about a device alone.
  const { device } = host;
  return { ...core, ...api, awaited, Told, host, device, scheduler, framework, attachment };
});
