/** The importer maps: a page frame goes into the IOAS's table as it is. */
import { DmaBufError, type Framework, type PluginModule } from "@dma-buf/core";
import { IommufdImporter, type IommufdOptions, type Resolve } from "./engine.js";
import type { IommufdHost } from "./host.js";

const resolve: Resolve = (run) => {
  if (run.kind === "cpu-physical") return run.address;
  throw new DmaBufError("EOPNOTSUPP", {
    op: "IOMMU_IOAS_MAP_FILE",
    stage: "map",
    message: `a run of kind ${run.kind}: a domain's table holds CPU-physical addresses`,
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
  contracts: ["pfn"],
  capabilities: ["invalidate", "peer2peer"],
  create: iommufdImporter,
};
