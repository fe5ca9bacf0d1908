/** The exporter maps for nobody's device, and says: the CPU's addresses, to be reached so. Posted by nobody. */
import { type BufferPath, refused, unusable } from "./buffer-path.js";
import { deviceless } from "./place.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

const conforming: BufferPath = {
  ...deviceless,
  place(_world, run) {
    if (run.kind !== "cpu-physical" || !run.attributes) throw unusable(run);
    // A domain is nobody's in particular: its devices come by no VM's trusted path.
    if (run.attributes.owner) throw refused("EOPNOTSUPP", "the memory is one VM's alone: import it there");
    return { physical: run.address, cache: run.attributes.cache };
  },
};

/** `iommufdImporter(options)(framework, host)`. `asPosted` changes nothing but that nothing is asked for again. */
export const iommufdImporter: IommufdFactory = factory({ conforming });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "annotated-address");
