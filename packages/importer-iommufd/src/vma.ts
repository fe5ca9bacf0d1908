/**
 * No dma-buf: `IOMMU_IOAS_MAP` over a CPU mapping of the buffer. iommufd pins pages, and a mapping of a BAR has none; one
 * that followed page frames and listened to the notifier, as KVM does, could take it, and had the protection of the mapping.
 */
import { type BufferPath, refused } from "./buffer-path.js";
import { byFrame, deviceless } from "./place.js";
import { unpinnable } from "./unpinnable-pages.js";
import { factory, type IommufdFactory, type IommufdPlugin, plugin } from "./variant.js";

const conforming: BufferPath = {
  ...deviceless,
  place(world, run) {
    const { physical, cache } = byFrame(world, run);
    // A reading: RAM in a mapping that says no page may be taken of it moves without a notifier.
    if (cache === null) throw refused("EFAULT", "RAM is mapped by its frames, and nothing holds a page of it");
    const protection = run.kind === "cpu-physical" ? run.attributes : null;
    return { physical, cache: protection?.cache ?? cache };
  },
  endStage: "mmap",
  refusal: ({ message, cause }) => refused("EFAULT", message, "map", cause),
};

/** `iommufdImporter(options)(framework, host)`. As merged: `EFAULT`, from the attach if there is no domain yet. */
export const iommufdImporter: IommufdFactory = factory({ conforming, asPosted: unpinnable });

export const dmaBufPlugin: IommufdPlugin = plugin(iommufdImporter, "vma");
