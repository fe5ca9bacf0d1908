/** What the tests of this package share: a kernel of each contract on a machine with a NIC, and exporters for it. */
import { isDeepStrictEqual } from "node:util";
import { refusal } from "@dma-buf/config/refusal";
import { type Contract, type DmaBuf, type EnvOptions, Framework, type Op, Scheduler } from "@dma-buf/core";
import type { BufferObject, GpuExporter, GpuOptions } from "@dma-buf/exporter-gpu";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import { F_SEAL, GpuMemory, Machine, MachineMemfds, type MachineOptions, VfioPciDevice } from "@dma-buf/machine";
import { type CatalogueOptions, type CatalogueTopology, t1, t2, Topology } from "@dma-buf/pci";
import type { RdmaHost } from "../host.js";
import type { MemoryRegion, RdmaImporter, RdmaResult, RdmaTarget } from "../importer.js";
import type { RdmaOptions } from "../options.js";
import type { MrKind, RegMr } from "../request.js";
import { type Variant, type VariantId, VARIANTS } from "./variants.js";

export const PAGE: number = 4096;
/** Where BAR 0 of the exporter begins. */
export const BAR = 0x40_0000_0000;
const GPU_RAM = 0x2100_0000;

/** Those that serve. */
export const SERVING: readonly VariantId[] = ["dma-address", "linux-7.3", "annotated-address", "pfn", "pfn-locked"];
export const KINDS: readonly MrKind[] = ["on-demand", "pinned-revocable", "pinned", "static"];

export interface RigOptions extends CatalogueOptions, EnvOptions {
  /** `two functions`: T1, and the NIC has a first function that is elsewhere. @defaultValue T1 */
  readonly base?: "T1" | "T2" | "two functions";
  readonly machine?: Partial<MachineOptions>;
  readonly rdma?: RdmaOptions;
  readonly scheduler?: Scheduler;
  readonly asPosted?: boolean;
  readonly gpu?: GpuOptions;
  /** Another contract than the variant's own. */
  readonly contract?: Contract;
}

/** One kernel, one machine, one NIC. */
export class Rig {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly machine: Machine;
  readonly host: RdmaHost;
  readonly rdma: RdmaImporter;
  readonly #variant: Variant;
  readonly #options: RigOptions;
  readonly #exporter: string;

  constructor(id: VariantId, options: RigOptions = {}) {
    const { scheduler = new Scheduler(), base = "T1", machine = {}, rdma = {}, trace = false } = options;
    this.#variant = VARIANTS[id];
    this.#options = options;
    this.scheduler = scheduler;
    const { contract = this.#variant.contract } = options;
    this.fw = new Framework({ ...options, contract, scheduler, trace });
    const { topology, exporter, importers } = placesOf(base, options);
    this.#exporter = exporter;
    const defaults = { iommu: "off", rootComplexForwards: true, tablesMax: 64 } as const;
    this.machine = new Machine({ ...defaults, ...machine, topology, trace: this.fw.trace });
    // Whatever the machine offers fits what this package asks for.
    this.host = { functions: importers.map((at) => this.machine.device(at)), memory: this.machine.memory };
    this.rdma = this.#variant.rdma(rdma)(this.fw, this.host);
  }

  run<T>(op: Op<T>): T {
    return this.scheduler.complete("test", op);
  }

  /** `EINVAL@map`, or `ok`. Of what is refused nothing may be left. */
  answer(op: Op<unknown>): string {
    const before = this.counts();
    const told = refusal(() => this.run(op));
    const after = this.counts();
    return told === "ok" || isDeepStrictEqual(before, after) ? told : `${told}, and left ${JSON.stringify(after)}`;
  }

  /** Everything that is counted, by anybody. */
  counts(): object {
    const { releasedBuffers: _, ...resources } = this.machine.resources.read() as Record<string, number>;
    return { ...this.fw.ledger, ...this.rdma.ledger, ...resources };
  }

  vfio(): VfioExporter {
    return this.#variant.vfio({ asPosted: this.#options.asPosted ?? false })(
      this.fw,
      new VfioPciDevice(this.machine, this.#exporter),
    );
  }

  /** Pages of the BAR, in that order, as one buffer. */
  bar(exporter: VfioExporter, pages: readonly number[] = [0, 1]): DmaBuf {
    const ranges = pages.map((page) => ({ offset: page * PAGE, length: PAGE }));
    return this.run(exporter.export({ regionIndex: 0, ranges }));
  }

  gpu(): GpuExporter {
    const ram = { base: GPU_RAM as never, sizeBytes: 16 * PAGE };
    const memory = new GpuMemory(this.machine, this.#exporter, { vramBytes: 16 * PAGE, ram });
    return this.#variant.gpu(this.#options.gpu)(this.fw, memory);
  }

  vram(gpu: GpuExporter, pages = 2): { readonly bo: BufferObject; readonly buf: DmaBuf } {
    const bo = gpu.create({ sizeBytes: pages * PAGE });
    return { bo, buf: gpu.export(bo) };
  }

  /** RAM: `pages` pages of a memory file. */
  udmabuf(pages = 2, ramBase?: number): { readonly buf: DmaBuf; readonly write: (at: number, value: number) => void } {
    const ram = ramBase === undefined ? {} : { ram: { base: ramBase as never, sizeBytes: 64 * PAGE } };
    const memfds = new MachineMemfds(this.machine, ram);
    const fd = memfds.create(pages * PAGE);
    memfds.memfd(fd).addSeals(F_SEAL.SHRINK);
    const exporter = this.#variant.udmabuf({ asPosted: this.#options.asPosted ?? false })(this.fw, memfds);
    const buf = exporter.create([{ memfd: fd, offset: 0, sizeBytes: pages * PAGE }]);
    return { buf, write: (at, value) => memfds.memfd(fd).write(at, text(value)) };
  }

  reg(buf: DmaBuf, more: Partial<RegMr> = {}): MemoryRegion {
    return this.run(this.regOp(buf, more));
  }

  regOp(buf: DmaBuf, more: Partial<RegMr> = {}): Op<MemoryRegion> {
    return this.rdma.regMr({ buf, kind: "on-demand", offset: 0, sizeBytes: buf.sizeBytes, ...more });
  }

  write(to: RdmaTarget, value: number, sizeBytes = 16): RdmaResult {
    return this.run(this.rdma.write(to, text(value, sizeBytes)));
  }

  read(from: RdmaTarget, sizeBytes = 16): RdmaResult {
    return this.run(this.rdma.read(from, sizeBytes));
  }

  /** The byte at a physical address. */
  byte(physical: number): number {
    return this.machine.memory.read(physical, 1)[0] as number;
  }
}

export const text = (value: number, sizeBytes = 16): Uint8Array => new Uint8Array(sizeBytes).fill(value);

/** Topologies do not change: one serves every order that is tried. */
const T1 = t1();

function placesOf(base: NonNullable<RigOptions["base"]>, options: RigOptions): CatalogueTopology {
  if (base === "T2") return t2(options);
  if (base === "two functions") return twoFunctions();
  return options.busOffsetBytes || options.acsRedirect || options.allowlisted ? t1(options) : T1;
}

/** T1, and a NIC function below a root port of its own: the second function reaches the exporter, the first does not. */
function twoFunctions(): CatalogueTopology {
  const { topology, exporter, importers } = t1();
  const [near] = importers as [string];
  const port = { ...topology.get("0000:00:01.0"), address: "0000:00:02.0" };
  const bridge = { primary: 0, secondary: 5, subordinate: 5, windows: [] };
  const far = { ...topology.get(near), address: "0000:05:00.0", bars: [] };
  const functions = [...topology.functions, { ...port, bridge }, far];
  const { hostBridges, cpu } = topology;
  return {
    topology: new Topology({ functions, hostBridges, cpu }),
    exporter,
    importers: [far.address, near],
    apart: [far.address],
  };
}
