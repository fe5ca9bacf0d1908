import { conformance, type ExporterSubject } from "@dma-buf/conformance";
import { addr, dmaAddress, pfn } from "@dma-buf/core";
import { describe, it } from "vitest";
import { vfioExporter as dmaAddressExporter } from "./dma-address.js";
import { vfioExporter as pfnExporter } from "./pfn.js";

const BAR_BYTES = 0x10000;

const vfio = (
  contract: typeof pfn,
  capabilities: ExporterSubject["capabilities"],
  exporter: typeof pfnExporter | typeof dmaAddressExporter,
): ExporterSubject => ({
  kind: "exporter",
  name: "vfio-pci",
  contract,
  capabilities,
  create(framework, host) {
    const made = exporter()(framework, {
      name: "0000:01:00.0",
      region: () => ({ physical: addr(0x10_0000_0000), sizeBytes: BAR_BYTES }),
      provider: () => host.provider,
      memoryEnabled: true,
      setMemoryEnabled() {},
    });
    return {
      export: () => made.export({ regionIndex: 0, ranges: [{ offset: 0, length: BAR_BYTES }] }),
      revoke: () => made.revoke(),
      restore: () => made.restore(),
    };
  },
});

conformance({ describe, it }, vfio(dmaAddress, ["map", "revoke"], dmaAddressExporter));
conformance({ describe, it }, vfio(pfn, ["get_pfn", "revoke"], pfnExporter));
