/** How a device comes to a BAR, asked before anything is mapped: at attach. */
import type { Device, P2pProvider, P2pVerdict } from "@dma-buf/core";

/**
 * The route as it is now. A host that keeps no answers has one question for both. Linux: `pci_p2pdma_distance()`.
 * @example
 * p2pDistance(host.provider, host.device).mapType; // "through-host-bridge"
 */
export function p2pDistance(provider: P2pProvider, device: Device): P2pVerdict {
  return provider.distance?.(device) ?? provider.verdict(device);
}

/**
 * Why `device` cannot reach a BAR by its page frames; `null`: it can. Who is told PFNs maps them with `dma_map_phys()`,
 * which knows the CPU's addresses and the device's IOMMU, and no PCI peer.
 * @example
 * whyNotByPfn(host.provider, host.device); // null
 */
export function whyNotByPfn(provider: P2pProvider | null, device: Device): string | null {
  if (!provider) return "no peer-to-peer memory";
  const { mapType, reason } = p2pDistance(provider, device);
  if (mapType === "not-supported") return reason;
  if (mapType === "through-host-bridge") return null;
  if (provider.busOffsetBytes !== 0)
    return "the bus counts addresses from another zero, and dma_map_phys() adds no bus offset";
  return device.spaces.some((s) => s.kind === "iova")
    ? "it needs a bus address, and dma_map_phys() gives an IOVA"
    : null;
}
