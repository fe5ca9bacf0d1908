/** The importers of the classes: what their users rely on, whoever the exporter is. */
import { Framework, linux73, type Op, Scheduler } from "@dma-buf/core";
import { expect, it } from "vitest";
import { classImporter } from "./importers/classes.js";
import { RecordingHost } from "./recording-host.js";
import { referenceExporter } from "./reference-exporter.js";

it("one that was stopped for ever does not look again, and holds no pin", () => {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: linux73, scheduler });
  const exporter = referenceExporter(fw);
  const arrived: string[] = [];
  const importer = classImporter("pinned-revocable", {
    framework: fw,
    arrived: ({ importer: who }) => void arrived.push(who),
  });
  scheduler.complete(
    "life",
    (function* (): Op<void> {
      yield* importer.attach(exporter.buf, new RecordingHost().device);
      yield* importer.use();
      expect([arrived.length, exporter.buf.attachments[0]?.pins]).toEqual([1, 1]);
      yield* exporter.revoke();
      exporter.restore();
      yield* importer.use();
      expect([arrived.length, exporter.buf.attachments[0]?.pins]).toEqual([1, 0]);
      yield* importer.close();
      yield* fw.put(exporter.buf);
    })(),
  );
  expect(fw.findings).toEqual([]);
});
