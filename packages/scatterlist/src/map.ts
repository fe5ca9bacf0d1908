/** From physical ranges to a table for one device. Linux: `dma_buf_phys_vec_to_sgt()`, drivers/dma-buf/dma-buf-mapping.c. */
import {
  type Attributes,
  type Device,
  type Direction,
  DmaBufError,
  type DmaIovaState,
  type ErrnoName,
  hex,
  type Op,
  type P2pProvider,
  type Pfn,
  type SgTable,
} from "@dma-buf/core";
import { type PhysVec, sizeOf } from "./phys-vec.js";
import { type Common, ScatterList } from "./scatter-list.js";

/** How ranges are mapped. */
export interface MapOptions {
  /** Whose BAR it is: the route to it is asked for. `null`: everything goes through the DMA API, as RAM does. */
  readonly provider: P2pProvider | null;
  /** Is it device memory, never bounced? */
  readonly mmio: boolean;
  /** Given: each run says its space, and these. `null`: runs are DMA addresses and no more is said. @defaultValue null */
  readonly attributes?: Attributes | null;
  /** Where the next range is linked, when so many bytes are linked already. @defaultValue behind them */
  readonly linkAt?: (linkedBytes: number) => number;
  /** Hold a bus address against the device's mask? Linux 7.3 does not. @defaultValue true */
  readonly checkMask?: boolean;
  /** Refuse with `EIO` what would go through a bounce buffer. Linux: `DMA_ATTR_REQUIRE_COHERENT`. @defaultValue false */
  readonly requireCoherent?: boolean;
  /** The CPU half of the table, for RAM. */
  readonly pages?: readonly Pfn[];
}

/** A table that knows how to take itself back. Owned by the exporter that made it. */
export interface PhysVecTable extends SgTable {
  readonly runs: ScatterList;
  /** Unmaps; sleeps until the IOTLB is flushed. Once. Linux: `dma_buf_free_sgt()`. */
  free(): Op<void>;
}

/**
 * Maps `vecs` for `device`: as bus addresses where the way leads past the host bridge; into one IOVA where it has a
 * translating domain and the ranges are a BAR's; else range by range with `dma_map_phys()`. Without a device, and with
 * `attributes`, the runs are the ranges themselves: the CPU's addresses. Segments are cut at 32 bits of length; ranges are
 * never merged, but in an IOVA. The reservation must be held. A refusal leaves nothing mapped.
 * @throws DmaBufError at stage `map`: `EINVAL` no route, nothing to map, or no device to map for · `ENOMEM` beyond the device's mask, or no IOVA ·
 * `EIO` it would bounce, and must not · `EADDRINUSE` a range is linked where another is
 * @example
 * const vecs = [{ physical: addr(0x2000), sizeBytes: 8192 }];
 * const table = yield* mapPhysVecs(host.device, vecs, "bidirectional", { provider: host.provider, mmio: true });
 * table.runs.length; // 1
 * yield* table.free();
 * host.liveMappings; // 0
 */
export function* mapPhysVecs(
  device: Device | null,
  vecs: readonly PhysVec[],
  direction: Direction,
  options: MapOptions,
): Op<PhysVecTable> {
  if (sizeOf(vecs) === 0) throw refused("EINVAL", "there is nothing to map: give at least one byte");
  if (!device) return cpuAddresses(vecs, options);
  const verdict = options.provider?.verdict(device);
  if (verdict?.mapType === "not-supported")
    throw refused("EINVAL", `${device.name} has no peer-to-peer route to this memory: ${verdict.reason}`);
  if (options.provider && verdict?.mapType === "bus-address")
    return busAddresses(device, vecs, options.provider, options);
  const state = options.provider && device.dma.tryAllocIova((vecs[0] as PhysVec).physical, sizeOf(vecs));
  return state ? yield* linked(device, state, vecs, direction, options) : each(device, vecs, direction, options);
}

function cpuAddresses(vecs: readonly PhysVec[], options: MapOptions): PhysVecTable {
  const { attributes } = options;
  if (!attributes) throw refused("EINVAL", "there is no device to map for: attach with one");
  const runs = new ScatterList({ kind: "cpu-physical", attributes }, { capacity: vecs.length });
  for (const { physical, sizeBytes } of vecs) runs.append(physical, sizeBytes);
  return table(runs, options, nothing);
}

function busAddresses(
  device: Device,
  vecs: readonly PhysVec[],
  provider: P2pProvider,
  options: MapOptions,
): PhysVecTable {
  const runs = new ScatterList(common(device, "pci-bus", options), { capacity: vecs.length });
  for (const { physical, sizeBytes } of vecs) {
    const bus = physical - provider.busOffsetBytes;
    if ((options.checkMask ?? true) && bus + sizeBytes > 2 ** device.dma.maskBits)
      throw refused(
        "ENOMEM",
        `bus address ${hex(bus)} is beyond the ${device.dma.maskBits}-bit DMA mask of ${device.name}`,
      );
    runs.append(bus, sizeBytes);
  }
  return table(runs, options, nothing);
}

/** One IOVA for all ranges, which makes them one run. */
function* linked(
  device: Device,
  state: DmaIovaState,
  vecs: readonly PhysVec[],
  direction: Direction,
  options: MapOptions,
): Op<PhysVecTable> {
  const { linkAt = (bytes) => bytes, mmio } = options;
  let done = 0;
  try {
    const runs = new ScatterList(common(device, "iova", options));
    for (const { physical, sizeBytes } of vecs) {
      state.link(linkAt(done), physical, sizeBytes, direction, { mmio });
      done += sizeBytes;
    }
    state.sync(0, done);
    runs.append(state.address, done);
    return table(runs, options, () => state.destroy(done));
  } catch (error) {
    yield* state.destroy(done);
    throw error;
  }
}

function each(device: Device, vecs: readonly PhysVec[], direction: Direction, options: MapOptions): PhysVecTable {
  const { mmio, requireCoherent = false } = options;
  const translated = device.spaces.some((s) => s.kind === "iova");
  const runs = new ScatterList(common(device, translated ? "iova" : "pci-bus", options), { capacity: vecs.length });
  const mapped: { readonly address: ReturnType<Device["dma"]["mapPhys"]>; readonly sizeBytes: number }[] = [];
  const attributes = { mmio, skipCpuSync: !mmio, requireCoherent };
  const unmapAll = (): void => {
    for (const { address, sizeBytes } of mapped.splice(0)) device.dma.unmapPhys(address, sizeBytes, attributes);
  };
  try {
    for (const { physical, sizeBytes } of vecs) {
      const address = device.dma.mapPhys(physical, sizeBytes, direction, attributes);
      mapped.push({ address, sizeBytes });
      runs.append(address, sizeBytes);
    }
  } catch (error) {
    unmapAll();
    throw error;
  }
  return table(runs, options, function* () {
    unmapAll();
  });
}

function table(runs: ScatterList, { pages }: MapOptions, free: () => Op<void>): PhysVecTable {
  return pages ? { runs, pages, free } : { runs, free };
}

/** What all runs say besides where they are. */
function common(device: Device, kind: "pci-bus" | "iova", { attributes = null }: MapOptions): Common {
  if (!attributes) return { kind: "dma" };
  const space = device.spaces.find((s) => s.kind === kind);
  if (!space) throw refused("EINVAL", `${device.name} is in no space of kind ${kind}`);
  return { ...space, attributes };
}

function* nothing(): Op<void> {}

function refused(code: ErrnoName, message: string): DmaBufError {
  return new DmaBufError(code, { op: "dma_buf_phys_vec_to_sgt", stage: "map", message });
}
