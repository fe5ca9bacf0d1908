/** A world without a machine, for searches of all orders: a device, an assigned function and a GPU over one map of bytes. */
import { RecordingHost } from "@dma-buf/conformance";
import {
  type AccessResult,
  addr,
  type Device,
  type DmaBuf,
  Framework,
  type Op,
  PAGE_SIZE,
  point,
  type PhysAddr,
  type Scheduler,
} from "@dma-buf/core";
import type { BufferObject, GpuExporter, GpuHost as ExporterHost } from "@dma-buf/exporter-gpu";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import { createTableMemory } from "@dma-buf/page-table";
import type { GpuImporter, GpuOptions } from "../index.js";
import type { Build, World, WorldOptions } from "./world.js";
import { contractOf, type VariantId, VARIANTS } from "./variants.js";

const BAR = 0x50_0000_0000;
const VRAM = 0x40_0000_0000;
const RAM = 0x2100_0000;
const NONE = new Uint8Array(0);

export const light: Build = (scheduler, id, options) => new Light(scheduler, id, options);

export class Light implements World {
  readonly fw: Framework;
  readonly host: RecordingHost;
  readonly vfio: VfioExporter;
  readonly exporter: GpuExporter;
  readonly gpu: GpuImporter;
  /** The first byte of each page, by its place. */
  readonly bytes: Map<number, number> = new Map();
  readonly barAt: number = BAR;
  #next = RAM;

  constructor(scheduler: Scheduler, id: VariantId, options: WorldOptions = {}) {
    const { mapType = "through-host-bridge" } = options;
    this.host = new RecordingHost("0000:04:00.0", { mapType });
    const parts = VARIANTS[id];
    this.fw = new Framework({ contract: contractOf(id), scheduler, trace: false });
    this.vfio = parts.vfio.vfioExporter()(this.fw, this.#assigned());
    this.exporter = parts.gpu.gpuExporter()(this.fw, this.#exporting());
    this.gpu = this.importer(id, options.importer);
  }

  importer(id: VariantId, options?: GpuOptions): GpuImporter {
    const tables = createTableMemory({ basePhys: addr<PhysAddr>(0x8000_0000), sizeBytes: 16 * PAGE_SIZE });
    const memory = { isRam: (at: PhysAddr) => at < VRAM };
    return VARIANTS[id].importer.gpuImporter(options)(this.fw, { device: this.#device(), memory, tables });
  }

  run<T>(op: Op<T>): T {
    return this.fw.scheduler.complete("test", op);
  }

  bar(): DmaBuf {
    return this.run(this.vfio.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE_SIZE }] }));
  }

  bo(): { readonly bo: BufferObject; readonly buf: DmaBuf } {
    const bo = this.exporter.create({ sizeBytes: PAGE_SIZE });
    return { bo, buf: this.exporter.export(bo) };
  }

  peek(place: number): number {
    return this.bytes.get(place) ?? 0;
  }

  poke(place: number, value: number): void {
    this.bytes.set(place, value);
  }

  /** What the buffer object has as its first byte, wherever it is. */
  byteOf({ place }: BufferObject): number {
    return this.peek((place?.domain === "vram" ? VRAM : 0) + (place?.blocks[0]?.start ?? 0));
  }

  /** All that is out and should not be, in words. */
  left(): string[] {
    const left = { ...this.fw.ledger, ...this.gpu.ledger, ...this.exporter.ledger, mappings: this.host.liveMappings };
    const out = Object.entries(left).filter(([, n]) => n !== 0);
    return [...out.map(([what, n]) => `RESLEAK: ${n} ${what}`), ...this.fw.findings.map((f) => f.message)];
  }

  #device(): Device {
    const { name, dma, spaces } = this.host.device;
    const at = (address: number): number | null => this.host.place(address);
    const { bytes } = this;
    return {
      name,
      dma,
      spaces,
      *write(address, data): Op<AccessResult> {
        yield* point("device.arrive");
        const place = at(address);
        if (place === null) return { kind: "fault", by: "iommu", reason: `${address}` };
        bytes.set(place, data[0] ?? 0);
        return { kind: "done", bytes: NONE };
      },
      *read(address): Op<AccessResult> {
        yield* point("device.arrive");
        const place = at(address);
        if (place === null) return { kind: "fault", by: "iommu", reason: `${address}` };
        return { kind: "done", bytes: Uint8Array.of(bytes.get(place) ?? 0) };
      },
    };
  }

  #assigned(): Parameters<ReturnType<(typeof VARIANTS)["pfn"]["vfio"]["vfioExporter"]>>[1] {
    const { provider } = this.host;
    return {
      name: "0000:01:00.0",
      region: () => ({ physical: addr<PhysAddr>(BAR), sizeBytes: 16 * PAGE_SIZE }),
      provider: () => provider,
      memoryEnabled: true,
      *writeMemoryEnabled() {},
      powerState: "D0",
      setPowerState() {},
      canReset: true,
      hasFlr: true,
      *reset() {},
    };
  }

  #exporting(): ExporterHost {
    const { bytes } = this;
    const at = ({ domain, blocks }: Parameters<ExporterHost["copy"]>[0]): number =>
      (domain === "vram" ? VRAM : 0) + (blocks[0]?.start ?? 0);
    const { provider } = this.host;
    return {
      name: "0000:03:00.0",
      vramBytes: 16 * PAGE_SIZE,
      window: { physical: addr<PhysAddr>(VRAM), sizeBytes: 16 * PAGE_SIZE },
      provider,
      fabric: null,
      runtimeGetIfActive: () => true,
      *runtimeGet() {},
      runtimePut() {},
      allocPages: (pages) => [{ start: (this.#next += 16 * PAGE_SIZE), sizeBytes: pages * PAGE_SIZE }],
      freePages() {},
      vmap: () => 0x1000,
      vunmap() {},
      *copy(from, to) {
        yield* point("gpu.copy");
        bytes.set(at(to), bytes.get(at(from)) ?? 0);
      },
      wipe: (place) => void bytes.set(at(place), 0xbe),
    };
  }
}
