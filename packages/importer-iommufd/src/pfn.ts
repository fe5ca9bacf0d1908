/**
 * The importer asks for page frames, holding nothing, and maps them. An answer that a revoke overtook is thrown away and
 * asked for again. Posted by nobody.
 */
import { frames } from "./place.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

/** `iommufdImporter(options)(framework, host)`. `asPosted` changes nothing but that nothing is asked for again. */
export const iommufdImporter: IommufdFactory = factory({ conforming: frames });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "pfn");
