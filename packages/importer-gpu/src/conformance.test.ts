import { conformance, type ImporterSubject } from "@dma-buf/conformance";
import { dmaAddress, pfn } from "@dma-buf/core";
import { describe, it } from "vitest";
import { gpuImporter as dmaAddressImporter } from "./dma-address.js";
import { gpuImporter as pfnImporter } from "./pfn.js";

const gpu = (contract: typeof pfn, importer: typeof pfnImporter): ImporterSubject => ({
  kind: "importer",
  name: "gpu",
  contract,
  capabilities: ["invalidate", "peer2peer"],
  create(framework, host) {
    const made = importer()(framework, host.device);
    return {
      attach: (buf) => made.attach(buf),
      use: () => made.validate(),
      holds: () => made.runs.length,
      detach: () => made.detach(),
    };
  },
});

conformance({ describe, it }, gpu(dmaAddress, dmaAddressImporter));
conformance({ describe, it }, gpu(pfn, pfnImporter));
