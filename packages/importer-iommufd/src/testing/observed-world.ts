/** The machine of the recording: an assigned device with a BAR of RAM, a DMA engine, memory files, one process. */
import { Framework, linux73, type DmaBuf, DmaBufError, type Op, type PhysAddr, Scheduler, addr } from "@dma-buf/core";
import { vfioExporter } from "@dma-buf/exporter-vfio/linux-7.3";
import { udmabufExporter } from "@dma-buf/exporter-udmabuf/linux-7.3";
import { Machine, MachineIommufd, MachineMemfds, UserMappings, VfioPciDevice } from "@dma-buf/machine";
import { amdV1, createVtdSecondStage, type Format } from "@dma-buf/page-table";
import { t2 } from "@dma-buf/pci";
import type { IommufdDevice } from "../device.js";
import { IOMMU_IOAS_MAP_FLAGS } from "../flags.js";
import type { OpenFile } from "../host.js";
import type { Ioas } from "../ioas.js";
import { iommufdIoctl } from "../ioctl.js";
import { iommufdImporter } from "../linux-7.3.js";
import { decodeIommu, encodeIommu, IOMMU_IOCTL, type IommuArgument, type IommuIoctl } from "../uapi.js";
import { ProcessMemory } from "./process-memory.js";

export const PAGE = 0x1000;
export const MIB: number = 2 ** 20;
const { FIXED_IOVA, READABLE, WRITEABLE } = IOMMU_IOAS_MAP_FLAGS;
export const FIXED_RW: number = FIXED_IOVA | READABLE | WRITEABLE;
/** What AMD's driver reserves for HyperTransport. */
const HYPERTRANSPORT = { first: 0xfd_0000_0000n, last: 0xff_ffff_ffffn };
/** fds of dma-bufs: far above those of memory files. */
const BUFFERS_FROM = 100;

export type Unit = "vt-d" | "amd-vi";
/** QEMU's VT-d has three levels. */
const FORMATS: Readonly<Record<Unit, Format>> = { "vt-d": createVtdSecondStage({ levels: 3 }), "amd-vi": amdV1 };

export class ObservedWorld {
  readonly scheduler: Scheduler = new Scheduler();
  readonly fw: Framework = new Framework({ contract: linux73, scheduler: this.scheduler });
  readonly machine: Machine;
  readonly memfds: MachineMemfds;
  readonly mappings: UserMappings = new UserMappings();
  readonly user: ProcessMemory = new ProcessMemory();
  readonly iommufd: ReturnType<ReturnType<typeof iommufdImporter>>;
  readonly ivshmem: ReturnType<ReturnType<typeof vfioExporter>>;
  readonly udmabuf: ReturnType<ReturnType<typeof udmabufExporter>>;
  /** Where the BAR lies. */
  readonly bar: PhysAddr;
  /** Bound, by the names of the recording. */
  readonly bound: Map<string, IommufdDevice> = new Map();
  readonly #addresses: Readonly<Record<string, string>>;
  readonly #buffers: DmaBuf[] = [];

  constructor(kind: Unit) {
    const { topology, exporter, importers } = t2();
    const { trace } = this.fw;
    this.machine = new Machine({ topology, trace, iommu: "translated", iommuKind: kind, rootComplexForwards: true });
    this.memfds = new MachineMemfds(this.machine);
    const file = (fd: number): OpenFile | null => this.#buffers[fd - BUFFERS_FROM] ?? this.memfds.file(fd);
    const isolatedMsi = kind === "vt-d";
    const own = new MachineIommufd<DmaBuf>(this.machine, {
      user: this.mappings,
      file: file as never,
      format: FORMATS[kind],
      isolatedMsi,
    });
    const host = Object.assign(own, {
      reservedIovas: (device: never) => [
        ...MachineIommufd.prototype.reservedIovas.call(own, device),
        ...(kind === "amd-vi" ? [HYPERTRANSPORT] : []),
      ],
    });
    const options = { asPosted: true, allowUnsafeInterrupts: !isolatedMsi };
    this.iommufd = iommufdImporter(options)(this.fw, host);
    const function0 = new VfioPciDevice(this.machine, exporter);
    this.bar = function0.region(0)?.physical ?? addr<PhysAddr>(0);
    this.ivshmem = vfioExporter({ asPosted: true })(this.fw, function0);
    this.udmabuf = udmabufExporter()(this.fw, this.memfds);
    this.#addresses = { ivshmem: exporter, edu: importers[0] as string };
  }

  run<T>(op: Op<T>): T {
    return this.scheduler.complete("vmm", op);
  }

  /** As an fd. */
  install(buf: DmaBuf): number {
    return BUFFERS_FROM + this.#buffers.push(buf) - 1;
  }

  /** All that were installed. */
  get buffers(): readonly DmaBuf[] {
    return this.#buffers;
  }

  bufferOf(fd: number): DmaBuf {
    return this.#buffers[fd - BUFFERS_FROM] as DmaBuf;
  }

  /** Pages of the BAR, as an fd. */
  export(...ranges: (readonly [offset: number, length: number])[]): number {
    const what = { regionIndex: 0, ranges: ranges.map(([offset, length]) => ({ offset, length })) };
    return this.install(this.run(this.ivshmem.export(what)));
  }

  ioctl<N extends IommuIoctl>(name: N, values: Partial<IommuArgument<N>>): IommuArgument<N> {
    const arg = encodeIommu(name, values);
    const { iommufd, user } = this;
    this.run(iommufdIoctl({ iommufd, user }, IOMMU_IOCTL[name], arg));
    return decodeIommu(name, arg);
  }

  /** `ok iova=…`, or `-errno`. */
  mapFile(values: Partial<IommuArgument<"IOAS_MAP_FILE">>): string {
    return said(() => `ok iova=0x${this.ioctl("IOAS_MAP_FILE", { flags: FIXED_RW, ...values }).iova.toString(16)}`);
  }

  map(values: Partial<IommuArgument<"IOAS_MAP">>): string {
    return said(() => `ok iova=0x${this.ioctl("IOAS_MAP", { flags: FIXED_RW, ...values }).iova.toString(16)}`);
  }

  unmap(ioasId: number, iova: bigint, length: bigint): string {
    return said(() => `ok unmapped=0x${this.ioctl("IOAS_UNMAP", { ioasId, iova, length }).length.toString(16)}`);
  }

  destroy(id: number): string {
    return said(() => (this.ioctl("DESTROY", { id }), "0"));
  }

  /** @returns its id */
  bind(name: string): number {
    const bound = this.iommufd.bind(this.machine.device(this.#addresses[name] as string));
    this.bound.set(name, bound);
    return this.iommufd.objects.idOf(bound);
  }

  /** `0` and the id of its page table. */
  attach(name: string, ptId: number, as: string): string {
    const { objects } = this.iommufd;
    const device = this.bound.get(name) as IommufdDevice;
    return said(() => {
      const hwpt = this.run(device.attach(objects.get<Ioas>(ptId, "ioas", "VFIO_DEVICE_ATTACH_IOMMUFD_PT")));
      return `0${as && `|${as}=${objects.idOf(hwpt)}`}`;
    });
  }

  detach(name: string): string {
    this.run((this.bound.get(name) as IommufdDevice).detach());
    return "0";
  }

  /** The DMA engine writes a byte. @returns whether it arrived anywhere */
  dmaWrite(iova: number, byte: number): "OK" | "fault" {
    const edu = this.machine.device(this.#addresses["edu"] as string);
    return this.run(edu.write(addr(iova), new Uint8Array([byte]))).kind === "done" ? "OK" : "fault";
  }

  /** It reads one. @returns -1: a fault */
  dmaRead(iova: number): number {
    const edu = this.machine.device(this.#addresses["edu"] as string);
    const result = this.run(edu.read(addr(iova), 1));
    return result.kind === "done" ? (result.bytes[0] as number) : -1;
  }

  /** A byte of the BAR, as it is. */
  barByte(offset: number): number {
    return this.machine.memory.read(addr<PhysAddr>(this.bar + offset), 1)[0] as number;
  }
}

/** As the recording has it. */
export function said(act: () => string): string {
  try {
    return act();
  } catch (error) {
    if (error instanceof DmaBufError) return `-${error.code}`;
    throw error;
  }
}
