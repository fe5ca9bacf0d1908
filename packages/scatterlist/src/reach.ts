/** How a device comes to reach a run: by the address that was made for it, or by a page frame that it maps itself. */
import {
  addr,
  type BusAddr,
  type Device,
  type Direction,
  type DmaAddr,
  DmaBufError,
  type FabricAddr,
  type Run,
  type SystemMemory,
} from "@dma-buf/core";
import { isSameSpace } from "./space.js";

/** What a device uses for a run, and how it is given back. */
export interface Reached {
  readonly address: DmaAddr | BusAddr | FabricAddr;
  /** Gives back what was mapped for it. Once. */
  release(): void;
}

/**
 * How a device comes to reach a run.
 * @throws DmaBufError at stage `map`: `EOPNOTSUPP` a kind of run that the device cannot use; what its DMA API refuses with
 */
export type Reach = (run: Run) => Reached;

function nothing(): void {}

/**
 * The exporter mapped for this device.
 * @example
 * reachAsMapped({ kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x1000) }).address; // 0x1000
 */
export const reachAsMapped: Reach = (run) => {
  if (run.kind !== "dma") throw unusable(run, "DMA addresses that were mapped for it");
  return { address: run.address, release: nothing };
};

/**
 * The importer maps: a page frame goes through the device's own DMA API, and never on the bus as it is. Whether it is
 * RAM, which may be bounced, or device memory, nobody says: `memory` is asked, as KVM asks `kvm_is_mmio_pfn()`.
 * @example
 * const reach = reachByFrame(host.device, "bidirectional", { isRam: () => false });
 * const run = { kind: "cpu-physical", offset: 0, sizeBytes: 4096, address: addr(0x1000), attributes: null };
 * const { address, release } = reach(run); // an IOVA of the device's domain
 * release();
 */
export function reachByFrame(device: Device, direction: Direction, memory: SystemMemory): Reach {
  return (run) => {
    if (run.kind !== "cpu-physical") throw unusable(run, "page frames");
    const { address, sizeBytes } = run;
    const attributes = { mmio: !memory.isRam(address) };
    const mapped = device.dma.mapPhys(address, sizeBytes, direction, attributes);
    return { address: mapped, release: () => device.dma.unmapPhys(mapped, sizeBytes, attributes) };
  };
}

/**
 * Each address says where it is valid, and the device uses what is valid where it is: on its bus, in its domain, on a
 * fabric that it is on.
 * @example
 * const [{ bridge }] = device.spaces;
 * const attributes = { cache: "uc", snoop: false };
 * reachAnnotated(device)({ kind: "pci-bus", bridge, offset: 0, sizeBytes: 4096, address: addr(0x9000), attributes }).address; // 0x9000
 */
export function reachAnnotated(device: Device): Reach {
  return (run) => {
    if (!device.spaces.some((space) => isSameSpace(run, space)))
      throw unusable(run, "addresses of the spaces it is in");
    if (run.kind !== "dma" && run.attributes?.owner) throw unusable(run, "memory that is nobody's alone");
    return { address: addr<DmaAddr>(run.address), release: nothing };
  };
}

function unusable({ kind, offset }: Run, takes: string): DmaBufError {
  const message = `a run of kind ${kind}: this importer takes ${takes}; let the exporter offer one, or refuse at attach`;
  return new DmaBufError("EOPNOTSUPP", { op: "reach", stage: "map", message, values: { kind, offset } });
}
