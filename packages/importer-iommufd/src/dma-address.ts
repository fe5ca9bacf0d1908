/** A DMA address is valid for one device, and an IOAS serves several or none: nothing here can go into its table. */
import { DmaBufError, type Framework, type PhysAddr, type PluginModule } from "@dma-buf/core";
import { IommufdImporter, type IommufdOptions, type Resolve } from "./engine.js";
import type { IommufdHost } from "./host.js";

const resolve: Resolve = (run): PhysAddr => {
  throw new DmaBufError("EOPNOTSUPP", {
    op: "IOMMU_IOAS_MAP_FILE",
    stage: "map",
    message: `a run of kind ${run.kind}: a domain's table holds CPU-physical addresses, and this says none`,
  });
};

/** `iommufdImporter(options)(framework, host)`. */
export const iommufdImporter =
  (options: IommufdOptions = {}) =>
  (framework: Framework, host: IommufdHost): IommufdImporter =>
    new IommufdImporter(framework, host, resolve, options);

export const dmaBufPlugin: PluginModule<IommufdOptions, IommufdHost, IommufdImporter> = {
  schemaVersion: 1,
  kind: "importer",
  name: "iommufd",
  contracts: ["dma-address"],
  capabilities: ["invalidate", "peer2peer"],
  create: iommufdImporter,
};
