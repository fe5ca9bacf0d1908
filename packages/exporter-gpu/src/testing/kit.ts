/** The exporter as the kit wants it: on the kit's bus, without bytes. */
import type { ExporterSubject, RecordingHost } from "@dma-buf/conformance";
import { addr, type PhysAddr } from "@dma-buf/core";
import { contractOf, type VariantId, VARIANTS } from "./rig.js";
import type { Block, BufferObject, GpuHost } from "../index.js";

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

export function subject(id: VariantId): ExporterSubject {
  const { dmaBufPlugin, gpuExporter } = VARIANTS[id];
  return {
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
          try {
            return exporter.export(bo);
          } finally {
            exporter.close(bo);
          }
        },
        // Elsewhere in its domain: after a move to the other, whoever maps brings it back to where it was.
        move: () => exporter.move(bo, bo.place?.domain ?? "vram"),
        ledger() {
          // The memory goes later: behind the last fence.
          const { pins, runtimeRefs, tables } = exporter.ledger;
          return { pins, runtimeRefs, tables };
        },
      };
    },
  };
}
