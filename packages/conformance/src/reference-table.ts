/** What the reference exporter's map answers: one run. */
import {
  addr,
  type BusAddr,
  type DmaBufAttachment,
  type Framework,
  type PhysAddr,
  type Run,
  type SgTable,
} from "@dma-buf/core";

/** In the words of the contract: addresses that say their space where nobody may be without a device, else plain ones. */
export function referenceTable(fw: Framework, at: DmaBufAttachment, physical: PhysAddr, sizeBytes: number): SgTable {
  const extent = { offset: 0, sizeBytes };
  const attributes = { cache: "uc", snoop: false } as const;
  const annotated = fw.contract.policy.device === "optional";
  if (annotated && !at.device) return one({ ...extent, kind: "cpu-physical", address: physical, attributes });
  const bus = at.device?.spaces.find((s) => s.kind === "pci-bus");
  if (annotated && bus)
    return one({ ...extent, kind: "pci-bus", address: addr<BusAddr>(physical), bridge: bus.bridge, attributes });
  const address = at.device?.dma.mapPhys(physical, sizeBytes, "bidirectional", { mmio: true }) as never;
  const domain = at.device?.spaces.find((s) => s.kind === "iova")?.domain;
  if (annotated && domain) return one({ ...extent, kind: "iova", address, domain, attributes });
  return one({ ...extent, kind: "dma", address });
}

export function unmapReferenceTable(at: DmaBufAttachment, { runs }: SgTable): void {
  for (const { kind, address, sizeBytes: mappedBytes } of runs)
    if (kind === "dma" || kind === "iova") at.device?.dma.unmapPhys(address as never, mappedBytes);
}

function one(run: Run): SgTable {
  return { runs: [run] };
}
