import { conformance, type ExporterSubject, type RecordingHost } from "@dma-buf/conformance";
import { addr, type PhysAddr } from "@dma-buf/core";
import { describe, it } from "vitest";
import { ALL, contractOf, VARIANTS } from "../testing/rig.js";
import type { Block, BufferObject, GpuHost } from "./index.js";

const VRAM = 0x40_0000_0000;
const RAM = 0x2100_0000;
const PAGE = 4096;

/** A GPU of sixteen pages without bytes, on the kit's bus. */
function gpuOf(host: RecordingHost): GpuHost {
  let next = RAM;
  return {
    name: "0000:03:00.0",
    vramBytes: 16 * PAGE,
    window: { physical: addr<PhysAddr>(VRAM), sizeBytes: 8 * PAGE },
    provider: host.provider,
    fabric: null,
    runtimeGetIfActive: () => true,
    *runtimeGet() {},
    runtimePut() {},
    allocPages(pages): readonly Block[] {
      next += (pages + 1) * PAGE;
      return [{ start: next - (pages + 1) * PAGE, sizeBytes: pages * PAGE }];
    },
    freePages() {},
    vmap: () => 0x1000,
    vunmap() {},
    *copy() {},
    wipe() {},
  };
}

for (const id of ALL) {
  const { dmaBufPlugin, gpuExporter } = VARIANTS[id];
  const subject: ExporterSubject = {
    kind: "exporter",
    name: dmaBufPlugin.name,
    contract: contractOf(id),
    capabilities: dmaBufPlugin.capabilities as ExporterSubject["capabilities"],
    create(framework, host) {
      const exporter = gpuExporter()(framework, gpuOf(host));
      let bo: BufferObject;
      return {
        export() {
          bo = exporter.create({ sizeBytes: 4 * PAGE });
          const buf = exporter.export(bo);
          exporter.close(bo);
          return buf;
        },
        // Elsewhere in its domain: after a move to the other, whoever maps brings it back to where it was.
        move: () => exporter.move(bo, bo.place?.domain ?? "vram"),
      };
    },
  };
  conformance({ describe, it }, subject);
}
