/** How GPUs of one fabric find each other's VRAM under a contract that has no word for it: a private agreement. */
import type { DmaBufAttachment, DmaBufOps, Held, Op } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { type Gpu, overFabric } from "./gpu.js";
import type { FabricBlock } from "./memory.js";
import { placeFor } from "./placement.js";

/**
 * Under this symbol `DmaBufOps.interfaces` has a {@link FabricAddresses}, where the exporter's GPU is in a fabric.
 * @example
 * FABRIC_ADDRESS.description; // "amdgpu_fabric_address"
 */
export const FABRIC_ADDRESS: unique symbol = Symbol.for("amdgpu_fabric_address") as never;

/** What one GPU driver tells another of its kind. */
export interface FabricAddresses {
  /** The space in which the addresses mean something. */
  readonly fabric: object;
  /**
   * Where the buffer is in the fabric, moved to VRAM if there is room; `null`: it is in RAM, map it. Call with the
   * reservation held: true until it is given back, or until invalidate. KERNEL fences are the caller's to wait for.
   * @throws DmaBufError `EOPNOTSUPP` the attached device is not in the fabric · `ENODEV` gone. Stage `map`
   */
  blocks(attachment: DmaBufAttachment, held: Held): Op<readonly FabricBlock[] | null>;
}

export function fabricInterface(gpu: Gpu, bo: OwnedBo): Pick<DmaBufOps, "interfaces"> {
  const { host, memory } = gpu;
  if (!host.fabric) return {};
  const addresses: FabricAddresses = {
    fabric: host.fabric.fabric,
    *blocks(at, held) {
      if (!overFabric(gpu, at))
        refuse("EOPNOTSUPP", "amdgpu_fabric_address", "map", `${at.importerName} is not in the fabric of ${host.name}`);
      const place = yield* placeFor(gpu, bo, at, held, "address");
      return place.domain === "vram" ? memory.fabricBlocks(place) : null;
    },
  };
  return { interfaces: new Map([[FABRIC_ADDRESS, addresses]]) };
}
