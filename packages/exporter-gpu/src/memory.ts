/** Places: how they are found, given back, and by which addresses they are known. Linux: TTM and its managers. */
import { addr, type FabricAddr, PAGE_SIZE, type PhysAddr, type Stage } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import type { Framework } from "@dma-buf/core";
import type { Domain, GpuHost, Place } from "./host.js";
import { coalesce, VramManager } from "./vram.js";

/** What a place must be like. Linux: `struct ttm_place`. */
export interface Wanted {
  readonly domain: Domain;
  /** Must all of it lie in the window? Linux: `AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED`. @defaultValue false */
  readonly visible?: boolean;
  /** @defaultValue false */
  readonly topDown?: boolean;
}

/** The memory of one GPU. */
export class GpuMemoryManager {
  readonly #fw: Framework;
  readonly #host: GpuHost;
  readonly #vram: VramManager;
  #gttBytes = 0;

  constructor(fw: Framework, host: GpuHost) {
    this.#fw = fw;
    this.#host = host;
    this.#vram = new VramManager(host.vramBytes);
  }

  get vramBytes(): number {
    return this.#vram.usedBytes;
  }

  get gttBytes(): number {
    return this.#gttBytes;
  }

  /**
   * A place of `sizeBytes`, or `null`: there is no room of that kind.
   * @throws DmaBufError `ENOMEM` where the allocation was told to fail
   */
  alloc(sizeBytes: number, wanted: Wanted, stage: Stage): Place | null {
    this.#fw.env.alloc({
      id: "gpu/ttm_resource_alloc",
      op: "ttm_resource_alloc",
      stage,
      source: "drivers/gpu/drm/ttm",
    });
    const { domain, topDown = false } = wanted;
    const end = wanted.visible ? this.#windowBytes : this.#vram.sizeBytes;
    const blocks =
      domain === "vram" ? this.#vram.alloc(sizeBytes, { end, topDown }) : this.#host.allocPages(sizeBytes / PAGE_SIZE);
    if (!blocks) return null;
    if (domain === "gtt") this.#gttBytes += sizeBytes;
    return { domain, blocks: coalesce(blocks) };
  }

  /** Gives a place back, overwritten. Nobody may use it any more. */
  free(place: Place): void {
    this.#host.wipe(place);
    if (place.domain === "vram") return this.#vram.free(place.blocks);
    this.#host.freePages(place.blocks);
    this.#gttBytes -= place.blocks.reduce((sum, b) => sum + b.sizeBytes, 0);
  }

  /** Is `place` as `wanted`? */
  fits(place: Place, { domain, visible = false }: Wanted): boolean {
    return place.domain === domain && (domain === "gtt" || !visible || this.isVisible(place));
  }

  /** Do CPUs and PCI peers see all of it? */
  isVisible({ domain, blocks }: Place): boolean {
    return domain === "gtt" || blocks.every((b) => b.start + b.sizeBytes <= this.#windowBytes);
  }

  /** By CPU-physical address; `null` where the window does not show all of it. */
  physVecs(place: Place): readonly PhysVec[] | null {
    return this.isVisible(place) ? this.uncheckedVecs(place) : null;
  }

  /** As if the window had no end: what lies beyond it is not there. */
  uncheckedVecs({ domain, blocks }: Place): readonly PhysVec[] {
    const base = domain === "gtt" ? 0 : (this.#host.window?.physical ?? 0);
    return blocks.map((b) => ({ physical: addr<PhysAddr>(base + b.start), sizeBytes: b.sizeBytes }));
  }

  /** Of VRAM, by the fabric's address; `null` where it is in no fabric. */
  fabricBlocks({ blocks }: Place): readonly FabricBlock[] | null {
    const { fabric } = this.#host;
    return fabric && blocks.map((b) => ({ address: addr<FabricAddr>(fabric.base + b.start), sizeBytes: b.sizeBytes }));
  }

  get #windowBytes(): number {
    return this.#host.window?.sizeBytes ?? 0;
  }
}

/** Consecutive bytes by an address of a fabric. */
export interface FabricBlock {
  readonly address: FabricAddr;
  readonly sizeBytes: number;
}
