/** vfio type1 as an importer of its own. */
import * as v from "valibot";
import { accessActions } from "../access.js";
import { importerKind } from "../actor.js";
import { DmaActs, importArgs } from "./dma-acts.js";
import { Type1 } from "./type1-container.js";

export const type1 = importerKind({
  package: null,
  options: v.strictObject({}),
  /** `import`: `VFIO_IOMMU_MAP_DMA` over a mapping of the buffer. */
  actions: { import: importArgs, ...accessActions },
  create(stage) {
    const dma = new DmaActs(stage, new Type1(stage, stage.nextDevice()));
    return {
      acts: { import: (what) => dma.import(what), ...dma.access },
      close: () => dma.mapper.close(),
    };
  },
});
