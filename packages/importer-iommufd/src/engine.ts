/**
 * IOMMUFD as an importer: an area of an IOAS backed by a dma-buf. Invalidate takes the translation away inside the
 * callback, for good: the area stays, and a device that uses it faults until userspace maps again.
 */
import {
  addr,
  type Device,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  DmaBufError,
  type Framework,
  type Held,
  hex,
  type Op,
  type PhysAddr,
  point,
  type Run,
  type Window,
  withRuns,
} from "@dma-buf/core";
import type { IommufdHost } from "./host.js";
import { type Area, checkMapFile, type MapFile } from "./validate.js";

/** Where a run lies for the CPU. @throws DmaBufError `EOPNOTSUPP` for a kind that a shared domain cannot hold. */
export type Resolve = (run: Run) => PhysAddr;

export interface IommufdOptions {
  /** Flush the IOTLB after unmapping? @defaultValue true */
  readonly flush?: boolean;
}

interface Mapped extends Area {
  readonly what: MapFile;
  attachment: DmaBufAttachment;
  window: Window;
  /** False once invalidated: the area stays, empty. */
  live: boolean;
}

/** One IOAS. Every operation may sleep. */
export class IommufdImporter {
  readonly name = "IOMMUFD";
  readonly #fw: Framework;
  readonly #host: IommufdHost;
  readonly #resolve: Resolve;
  readonly #options: IommufdOptions;
  readonly #areas: Mapped[] = [];
  readonly #devices: Device[] = [];

  constructor(fw: Framework, host: IommufdHost, resolve: Resolve, options: IommufdOptions) {
    this.#fw = fw;
    this.#host = host;
    this.#resolve = resolve;
    this.#options = options;
  }

  /** Puts a device into this IOAS: from now on its DMA is translated by the areas. */
  attachDevice(device: Device): void {
    this.#host.attachDevice(device);
    this.#devices.push(device);
  }

  /** `IOMMU_IOAS_MAP_FILE` at a fixed IOVA: attaches without a device of its own. @throws DmaBufError; nothing stays. */
  *mapFile(what: MapFile): Op<void> {
    const iova = checkMapFile(what, this.#areas);
    const { buf } = what;
    this.#fw.get(buf);
    const area = { what, iova, sizeBytes: what.length, live: true } as Mapped;
    try {
      const ops: DmaBufAttachOps = {
        allowPeer2peer: true,
        invalidateMappings: (_at, held) => this.#invalidate(area, held),
      };
      area.attachment = yield* this.#fw.dynamicAttach(buf, null, { name: this.name, ops });
      area.window = yield* this.#fw.open(area.attachment, "bidirectional");
      yield* this.#fill(area);
      this.#areas.push(area);
    } catch (error) {
      yield* this.#giveBack(area);
      throw error;
    }
  }

  /** `IOMMU_IOAS_UNMAP` of one whole area. @throws DmaBufError `ENOENT` when no area begins there. */
  *unmap(iova: bigint): Op<void> {
    const index = this.#areas.findIndex((a) => BigInt(a.iova) === iova);
    const area = this.#areas[index];
    if (!area)
      throw new DmaBufError("ENOENT", {
        op: "IOMMU_IOAS_UNMAP",
        stage: "map",
        message: `no area begins at 0x${iova.toString(16)}`,
      });
    this.#areas.splice(index, 1);
    yield* this.#giveBack(area);
  }

  /** Takes the devices out and unmaps everything. */
  *destroy(): Op<void> {
    for (const device of this.#devices.splice(0)) this.#host.detachDevice(device);
    for (const area of this.#areas.splice(0)) yield* this.#giveBack(area);
  }

  *#fill(area: Mapped): Op<void> {
    const { start, length } = area.what;
    yield* withRuns(area.attachment, area.window, start, length, (runs) => this.#install(area, runs));
  }

  /** Under the pages mutex. Invalidated since the runs were asked for: the area is dead, as after any revoke. */
  *#install(area: Mapped, runs: readonly Run[]): Op<void> {
    yield* point("iommufd.pages_mutex");
    if (!area.live)
      throw new DmaBufError("ENODEV", {
        op: "IOMMU_IOAS_MAP_FILE",
        stage: "map",
        message: "the buffer was revoked while it was mapped",
      });
    const { start, length } = area.what;
    for (const run of runs) {
      const from = Math.max(run.offset, start);
      const to = Math.min(run.offset + run.sizeBytes, start + length);
      const physical = addr<PhysAddr>(this.#resolve(run) + from - run.offset);
      this.#host.table.map(area.iova + from - start, physical, to - from, { read: true, write: true, cache: "uc" });
    }
  }

  *#invalidate(area: Mapped, held: Held): Op<void> {
    this.#fw.trace.emit("callback", () => `IOMMUFD: invalidate empties the area at ${hex(area.iova)}`);
    yield* this.#empty(area);
    if (area.window) yield* area.window.drop(held);
  }

  *#empty(area: Mapped): Op<void> {
    yield* point("iommufd.pages_mutex");
    if (!area.live) return;
    area.live = false;
    this.#host.table.unmap(area.iova, area.sizeBytes);
    if (this.#options.flush ?? true) yield* this.#host.flush();
  }

  *#giveBack(area: Mapped): Op<void> {
    yield* this.#empty(area);
    if (area.window) yield* area.window.close();
    if (area.attachment) yield* this.#fw.detachAttachment(area.what.buf, area.attachment);
    yield* this.#fw.put(area.what.buf);
  }
}
