import { conformance, type ImporterSubject } from "@dma-buf/conformance";
import { describe, it } from "vitest";
import type { GpuOptions, GpuVm, ImportedBuffer } from "./index.js";
import { contractOf, type VariantId, VARIANTS } from "./testing/variants.js";

const VA = 0x10_0000;

function subject(id: VariantId, options: GpuOptions = {}): ImporterSubject {
  const { gpuImporter, dmaBufPlugin } = VARIANTS[id].importer;
  const isStatic = options.importer === "static";
  return {
    kind: "importer",
    name: isStatic ? "static gpu" : dmaBufPlugin.name,
    contract: contractOf(id),
    capabilities: isStatic ? [] : (dmaBufPlugin.capabilities as ImporterSubject["capabilities"]),
    jobsWait: true,
    ...(id === "vma" ? { refuses: { code: "EFAULT", stage: "map" } as const } : {}),
    create(framework, { device, tables }) {
      const gpu = gpuImporter(options)(framework, { device, tables, memory: { isRam: () => true } });
      let vm: GpuVm | null = null;
      let bo: ImportedBuffer | null = null;
      return {
        *attach(buf) {
          const space = gpu.createVm();
          try {
            bo = yield* gpu.import(buf);
          } catch (error) {
            yield* space.destroy();
            throw error;
          }
          space.map(bo, { va: VA });
          vm = space;
        },
        use: () => gpu.validate(vm as GpuVm, [{ bo: bo as ImportedBuffer }]),
        holds: () => bo?.runs.length ?? 0,
        reaches: (offset) => vm?.reaches(VA + offset) ?? null,
        *detach() {
          if (bo) yield* gpu.close(bo);
          if (vm) yield* vm.destroy();
          [vm, bo] = [null, null];
        },
      };
    },
  };
}

for (const id of Object.keys(VARIANTS) as VariantId[]) conformance({ describe, it }, subject(id));
