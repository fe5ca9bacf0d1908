/**
 * IOMMUFD as a dma-buf importer. The variants are `@dma-buf/importer-iommufd/dma-address` and `…/pfn`.
 *
 * @packageDocumentation
 */
export { IommufdImporter, type IommufdOptions, type Resolve } from "./engine.js";
export type { IommufdHost } from "./host.js";
export type { MapFile } from "./validate.js";
