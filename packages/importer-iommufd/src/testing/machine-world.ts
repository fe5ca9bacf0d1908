/** iommufd on the modelled machine, with an exporter of each kind beside it: bytes travel. */
import {
  type AccessResult,
  addr,
  annotatedAddress,
  type Contract,
  type DmaAddr,
  type DmaBuf,
  dmaAddress,
  Framework,
  linux73,
  type Op,
  pfn,
  pfnLocked,
  type PhysAddr,
  Scheduler,
  vma,
} from "@dma-buf/core";
import type { VfioExporter, VfioHost, VfioOptions } from "@dma-buf/exporter-vfio";
import { vfioExporter as vfioAnnotated } from "@dma-buf/exporter-vfio/annotated-address";
import { vfioExporter as vfioDmaAddress } from "@dma-buf/exporter-vfio/dma-address";
import { vfioExporter as vfioLinux73 } from "@dma-buf/exporter-vfio/linux-7.3";
import { vfioExporter as vfioPfn } from "@dma-buf/exporter-vfio/pfn";
import { vfioExporter as vfioPfnLocked } from "@dma-buf/exporter-vfio/pfn-locked";
import { vfioExporter as vfioVma } from "@dma-buf/exporter-vfio/vma";
import {
  type IommuKind,
  Machine,
  type MachineDevice,
  MachineIommufd,
  MachineMemfds,
  UserMappings,
  VfioPciDevice,
} from "@dma-buf/machine";
import { t2, type CatalogueOptions } from "@dma-buf/pci";
import { refusal } from "@dma-buf/config/refusal";
import { expect } from "vitest";
import { iommufdImporter as annotated } from "../annotated-address.js";
import { iommufdImporter as dmaAddressImporter } from "../dma-address.js";
import type { IommufdHost, OpenFile } from "../host.js";
import type { Iommufd } from "../iommufd.js";
import { iommufdImporter as linux73Importer } from "../linux-7.3.js";
import { iommufdImporter as pfnImporter } from "../pfn.js";
import { iommufdImporter as pfnLockedImporter } from "../pfn-locked.js";
import type { IommufdFactory } from "../variant.js";
import { iommufdImporter as vmaImporter } from "../vma.js";
import type { IommufdOptions } from "../world.js";

export const PAGE = 4096;
/** Where BAR 0 of the exporter's function lies; it has 1 GiB. */
export const BAR: PhysAddr = addr<PhysAddr>(0x40_0000_0000);
export const MAP = { FIXED: 1, WRITE: 2, READ: 4, RW: 6, FIXED_RW: 7 } as const;

type VfioFactory = (options?: VfioOptions) => (fw: Framework, host: VfioHost) => VfioExporter;

export interface Column {
  readonly contract: Contract;
  readonly importer: IommufdFactory;
  readonly vfio: VfioFactory;
}

/** Each contract with the packages that play it. */
export const COLUMNS: Readonly<Record<string, Column>> = {
  "dma-address": { contract: dmaAddress, importer: dmaAddressImporter, vfio: vfioDmaAddress },
  vma: { contract: vma, importer: vmaImporter, vfio: vfioVma },
  pfn: { contract: pfn, importer: pfnImporter, vfio: vfioPfn },
  "pfn-locked": { contract: pfnLocked, importer: pfnLockedImporter, vfio: vfioPfnLocked },
  "annotated-address": { contract: annotatedAddress, importer: annotated, vfio: vfioAnnotated },
  "linux-7.3": { contract: linux73, importer: linux73Importer, vfio: vfioLinux73 },
};

/** Those under which an IOAS can take a BAR. */
export const SERVING: readonly string[] = Object.keys(COLUMNS).filter((id) => id !== "dma-address");

export interface WorldOptions {
  readonly iommuKind?: IommuKind;
  readonly scheduler?: Scheduler;
  readonly importer?: IommufdOptions;
  readonly exporterAsPosted?: boolean;
  readonly exporter?: VfioOptions;
  readonly topology?: CatalogueOptions;
  readonly forwards?: boolean;
  readonly trace?: boolean;
  readonly lockedPagesMax?: number;
  readonly isolatedMsi?: boolean;
  readonly tablesMax?: number;
  /** How the DMA API flushes; iommufd's domains are not its. @defaultValue strict */
  readonly flush?: "strict" | "lazy";
}

export interface MachineWorld {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly machine: Machine;
  readonly memfds: MachineMemfds;
  readonly user: UserMappings;
  readonly host: IommufdHost;
  readonly vfio: VfioExporter;
  readonly iommufd: Iommufd;
  /** Another function than the exporter's. */
  readonly nic: MachineDevice;
  /** fds of dma-bufs, from 100 on. */
  readonly bufs: Map<number, DmaBuf>;
  run<T>(op: Op<T>): T;
  /** `EINVAL@map`, or `ok`; what is refused leaves every ledger as it was. */
  answer(op: Op<unknown>): string;
  counts(): object;
  /** A BAR's bytes as a buffer. */
  bar(ranges?: readonly { readonly offset: number; readonly length: number }[]): DmaBuf;
  write(iova: number | bigint, bytes: Uint8Array, device?: MachineDevice): AccessResult["kind"];
  read(iova: number | bigint, sizeBytes: number, device?: MachineDevice): Uint8Array | string;
}

export function machineWorld(id: string, options: WorldOptions = {}): MachineWorld {
  const { scheduler = new Scheduler(), iommuKind = "vt-d", forwards = true, trace = false } = options;
  const { contract, importer, vfio } = COLUMNS[id] as Column;
  const fw = new Framework({ contract, scheduler, trace });
  const { topology, exporter: address, importers } = t2(options.topology ?? {});
  const machine = new Machine({
    topology,
    trace: fw.trace,
    iommu: "translated",
    iommuKind,
    rootComplexForwards: forwards,
    tablesMax: options.tablesMax ?? 128,
    flush: options.flush ?? "strict",
  });
  const memfds = new MachineMemfds(machine);
  const user = new UserMappings(options.lockedPagesMax);
  const bufs = new Map<number, DmaBuf>();
  const file = (fd: number): OpenFile | null => bufs.get(fd) ?? memfds.file(fd);
  // Whatever the machine offers fits what this package asks for.
  const host: IommufdHost = new MachineIommufd(machine, { user, file, isolatedMsi: options.isolatedMsi ?? true });
  const exporter = vfio({ asPosted: options.exporterAsPosted ?? false, ...options.exporter })(
    fw,
    new VfioPciDevice(machine, address),
  );
  const iommufd = importer(options.importer)(fw, host);
  const nic = machine.device(importers[0] as string);
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const counts = (): object => ({
    ...fw.ledger,
    ...exporter.ledger,
    ...settled(machine),
    objects: iommufd.objects.size,
  });
  return {
    scheduler,
    fw,
    machine,
    memfds,
    user,
    host,
    vfio: exporter,
    iommufd,
    nic,
    bufs,
    run,
    counts,
    answer(op) {
      const before = counts();
      const told = refusal(() => run(op));
      if (told !== "ok") expect(counts()).toEqual(before);
      return told;
    },
    bar: (ranges = [{ offset: 0, length: 4 * PAGE }]) => run(exporter.export({ regionIndex: 0, ranges })),
    write: (iova, bytes, device = nic) => run(device.write(addr<DmaAddr>(Number(iova)), bytes)).kind,
    read(iova, sizeBytes, device = nic) {
      const result = run(device.read(addr<DmaAddr>(Number(iova)), sizeBytes));
      return result.kind === "done" ? result.bytes : result.kind;
    },
  };
}

/** What has to be given back, where any is out: what is cached is not, nor the pages that a file has since it was touched. */
function settled(machine: Machine): Record<string, number> {
  const out = Object.entries(machine.resources.read()).filter(
    ([kind, n]) => n > 0 && !/^((iotlb|atc)Entries|memfdFrames)$/.test(kind),
  );
  return Object.fromEntries(out);
}

/** `length` bytes that say who wrote them. */
export function pattern(seed: number, length = 16): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 37 + i * 11 + 1) & 0xff);
}
