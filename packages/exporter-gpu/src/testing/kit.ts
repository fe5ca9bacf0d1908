/** The exporter as the kit wants it: on the kit's bus, without bytes. */
import type { ExporterSubject, RecordingHost } from "@dma-buf/conformance";
import { addr, type Op, type PhysAddr } from "@dma-buf/core";
import { contractOf, type VariantId, VARIANTS } from "./rig.js";
import type { Block, BufferObject, GpuHost, Place } from "../index.js";

const VRAM = 0x40_0000_0000;
const RAM = 0x2100_0000;
const PAGE = 4096;

/** A GPU of sixteen pages without bytes, on the kit's bus. The kit's witness is told whose they are. */
export function gpuOf(host: Pick<RecordingHost, "provider" | "allocated" | "freed">): GpuHost {
  let next = RAM;
  const each = ({ domain, blocks }: Place, tell: "allocated" | "freed"): void => {
    const base = domain === "vram" ? VRAM : 0;
    for (const { start, sizeBytes } of blocks) host[tell](addr<PhysAddr>(base + start), sizeBytes);
  };
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
    // What is written to the old place from here on is lost. In one step: another one is twice the orders.
    *copy(from, to): Op<void> {
      each(to, "allocated");
      each(from, "freed");
    },
    wipe: (place) => each(place, "freed"),
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
      // Below the buffer until that moves: then whoever maps brings it to a lower place, not back to where it was.
      let tenant: BufferObject | null = null;
      return {
        export() {
          tenant ??= exporter.create({ sizeBytes: 4 * PAGE });
          bo = exporter.create({ sizeBytes: 4 * PAGE });
          try {
            return exporter.export(bo);
          } finally {
            exporter.close(bo);
          }
        },
        *move() {
          if (tenant) exporter.close(tenant);
          tenant = null;
          yield* exporter.move(bo, bo.place?.domain === "gtt" ? "vram" : "gtt");
        },
        ledger() {
          // The memory goes later: behind the last fence.
          const { pins, runtimeRefs, tables } = exporter.ledger;
          return { pins, runtimeRefs, tables };
        },
      };
    },
  };
}
