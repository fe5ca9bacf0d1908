/** The kit, under every contract. */
import { conformance } from "@dma-buf/conformance";
import { annotatedAddress, dmaAddress, linux73, pfn, pfnLocked, vma } from "@dma-buf/core";
import { describe, it } from "vitest";
import { iommufdImporter as annotated } from "./annotated-address.js";
import { iommufdImporter as dmaAddressImporter } from "./dma-address.js";
import { iommufdImporter as linux73Importer } from "./linux-7.3.js";
import { iommufdImporter as pfnImporter } from "./pfn.js";
import { iommufdImporter as pfnLockedImporter } from "./pfn-locked.js";
import { subject } from "./testing/kit-subject.js";
import { iommufdImporter as vmaImporter } from "./vma.js";

const runner = { describe, it };

conformance(runner, subject(dmaAddress, dmaAddressImporter, { refuses: { code: "EINVAL", stage: "attach" } }));
conformance(runner, subject(vma, vmaImporter));
conformance(runner, subject(pfn, pfnImporter));
conformance(runner, subject(pfnLocked, pfnLockedImporter));
conformance(runner, subject(annotatedAddress, annotated));
// The kit's exporter is not vfio-pci: it has no private agreement. With one that has: machine.test.ts and orders.test.ts.
conformance(runner, subject(linux73, linux73Importer, { refuses: { code: "EOPNOTSUPP", stage: "map" } }));
