/** One run of one scenario: a fresh machine, the actors on it, and the steps as operations. */
import {
  type AccessResult,
  addr,
  type DmaBuf,
  DmaBufError,
  Framework,
  type Gpa,
  hex,
  type Op,
  PAGE_SIZE,
  type Run,
  type Scheduler,
} from "@dma-buf/core";
import type { VfioExporter } from "@dma-buf/exporter-vfio";
import type { Command, GpuImporter, GpuVm, ImportedBuffer, Listed } from "@dma-buf/importer-gpu";
import type { Iommufd } from "@dma-buf/importer-iommufd";
import type { KvmImporter } from "@dma-buf/importer-kvm";
import { GuestVm, Machine, MachineIommufd, VfioPciDevice } from "@dma-buf/machine";
import type { Binding } from "./binding.js";
import type { Column } from "./columns.js";
import { Judge } from "./judge.js";
import type { Actor, Scenario, Slice, Step } from "./scenario.js";

/** Which code plays: each side as posted, or as the best that obeys the contract. */
export interface Cast {
  readonly exporterAsPosted: boolean;
  readonly importerAsPosted: boolean;
}

export interface WorldOptions {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly binding: Binding;
  readonly cast: Cast;
  /** Does the root complex forward, in this run? */
  readonly forwards: boolean;
  readonly trace: boolean;
}

/** The guest sees the buffer from here on. */
const GPA_BASE = 0x1_0000_0000;
/** The VMM puts it here in the IOAS. */
const IOVA_BASE = 0x10_0000_0000;

/** An importer as the steps see it, whatever its kind. */
interface Player {
  import(buf: DmaBuf, offset: number, sizeBytes: number): Op<void>;
  validate(): Op<void>;
  borrow(from: Player): void;
  write(offset: number, bytes: Uint8Array): Op<AccessResult>;
  read(offset: number, sizeBytes: number): Op<AccessResult>;
  close(): Op<void>;
  /** The address it used for `offset`, in words. */
  via(offset: number): string;
  readonly name: string;
  /** What its device was told. */
  readonly runs?: readonly Run[];
}

export class World {
  readonly framework: Framework;
  readonly machine: Machine;
  readonly judge: Judge;
  readonly #exporter: VfioExporter;
  readonly #barIndex: number;
  readonly #barBytes: number;
  readonly #barBase: number;
  readonly #players: readonly Player[];
  readonly #steps: readonly Step[];
  readonly #scheduler: Scheduler;
  #buf: DmaBuf | null = null;
  #revoked = false;
  #writes = 0;

  constructor(scheduler: Scheduler, options: WorldOptions) {
    const { scenario, column, binding, cast } = options;
    this.#scheduler = scheduler;
    this.#steps = scenario.steps;
    this.framework = new Framework({ contract: column.contract, scheduler, trace: options.trace });
    this.machine = new Machine({
      topology: binding.topology,
      trace: this.framework.trace,
      iommu: scenario.topology.iommu,
      rootComplexForwards: options.forwards,
      tablesMax: 48,
    });
    const vfio = new VfioPciDevice(this.machine, binding.exporter);
    const region = vfio.region(binding.barIndex);
    if (!region) throw new RangeError(`${binding.exporter} has no memory BAR ${binding.barIndex}`);
    this.#barIndex = binding.barIndex;
    this.#barBytes = region.sizeBytes;
    this.#barBase = region.physical;
    this.#exporter = column.vfio({ asPosted: cast.exporterAsPosted })(this.framework, vfio);
    const devices = [...binding.devices];
    this.#players = scenario.importers.map((actor) =>
      this.#player(actor, column, cast, scenario, () => devices.shift() as string),
    );
    this.judge = new Judge(this.framework, this.machine, { base: region.physical, sizeBytes: region.sizeBytes });
  }

  /** Runs the steps, takes everything down again, and lets the judge count what is left. */
  *run(): Op<void> {
    try {
      this.#buf = yield* this.#exporter.export({
        regionIndex: this.#barIndex,
        ranges: [{ offset: 0, length: this.#barBytes }],
      });
      yield* this.#all(this.#steps);
    } catch (error) {
      this.#refused(error);
    }
    for (const player of this.#players) yield* player.close();
    if (this.#buf) yield* this.framework.put(this.#buf);
    this.judge.countLeftovers();
  }

  *#all(steps: readonly Step[]): Op<void> {
    for (const step of steps) yield* this.#step(step);
  }

  *#step(step: Step): Op<void> {
    if (step.do === "race") return yield* this.#race(step.tasks);
    if (step.do === "revoke") {
      yield* this.#exporter.revoke();
      return this.#given(true);
    }
    if (step.do === "memory-decode") {
      yield* this.#exporter.setMemoryEnabled(step.on);
      return this.#given(!step.on);
    }
    const player = this.#players[step.by] as Player;
    if (step.do === "borrow") return player.borrow(this.#players[step.from] as Player);
    try {
      if (step.do === "import") return yield* player.import(this.#buf as DmaBuf, ...this.#range(step.slice));
      if (step.do === "validate") return yield* player.validate();
      if (step.do === "write") return yield* this.#write(player, step.offset, step.sizeBytes);
      return yield* this.#read(player, step.offset, step.sizeBytes);
    } catch (error) {
      // An importer that asks for memory that was taken away is told so: that is the contract at work.
      if (!(this.#revoked && error instanceof DmaBufError)) throw error;
      this.judge.refusedWhileRevoked(player.name, error);
    }
  }

  *#write(player: Player, offset: number, sizeBytes: number): Op<void> {
    const bytes = pattern(sizeBytes, ++this.#writes);
    const result = yield* player.write(offset, bytes);
    this.judge.access(player.name, "wrote", result, { offset, bytes, revoked: this.#revoked, via: player.via(offset) });
  }

  *#read(player: Player, offset: number, sizeBytes: number): Op<void> {
    const result = yield* player.read(offset, sizeBytes);
    const bytes = this.machine.memory.read(this.#barBase + offset, sizeBytes);
    this.judge.access(player.name, "read", result, { offset, bytes, revoked: this.#revoked, via: player.via(offset) });
  }

  /** Runs tasks of their own and waits for all of them; the first error is this step's. */
  *#race(tasks: Readonly<Record<string, readonly Step[]>>): Op<void> {
    const running = Object.entries(tasks).map(([name, steps]) => this.#scheduler.spawn(name, this.#all(steps)));
    yield {
      site: "race.join",
      ready: () => running.every((t) => t.state !== "runnable"),
      blockedOn: () =>
        `the end of ${running
          .filter((t) => t.state === "runnable")
          .map((t) => t.name)
          .join(", ")}`,
    };
    const failed = running.find((t) => t.state === "failed" && !(this.#revoked && t.error instanceof DmaBufError));
    if (failed) throw failed.error;
  }

  #given(revoked: boolean): void {
    this.#revoked = revoked;
    this.judge.revoked(revoked);
  }

  #refused(error: unknown): void {
    if (!(error instanceof DmaBufError)) throw error;
    this.judge.refused(error);
  }

  #range(slice: Slice = { fromPage: 0, pages: "rest" }): [number, number] {
    const from = slice.fromPage * PAGE_SIZE;
    return [from, slice.pages === "rest" ? this.#barBytes - from : slice.pages * PAGE_SIZE];
  }

  #player(actor: Actor, column: Column, cast: Cast, scenario: Scenario, device: () => string): Player {
    const retry = actor.retry ?? true;
    if (actor.kind === "gpu") {
      const { memory } = this.machine;
      const host = { device: this.machine.device(device()), memory, tables: memory.tables };
      return gpuPlayer(column.gpu({ retry, asPosted: cast.importerAsPosted })(this.framework, host));
    }
    if (actor.kind === "kvm") {
      const vm = new GuestVm(this.machine, "guest", scenario.topology.privateMemory ?? false);
      return kvmPlayer(column.kvm({ asPosted: cast.importerAsPosted, retry })(this.framework, vm));
    }
    const iommufd = column.iommufd({ asPosted: cast.importerAsPosted })(
      this.framework,
      new MachineIommufd(this.machine),
    );
    return iommufdPlayer(iommufd, this.machine.device(device()));
  }
}

/** A device with one address space and one buffer in it, at its beginning. */
function gpuPlayer(gpu: GpuImporter): Player {
  let vm: GpuVm | null = null;
  let bo: ImportedBuffer | null = null;
  const space = (): GpuVm => (vm ??= gpu.createVm());
  const listed = (): readonly Listed[] => (bo ? [{ bo }] : []);
  function* job(command: Command): Op<AccessResult> {
    const { fence, results } = yield* gpu.submit({ vm: space(), buffers: listed(), commands: [command] });
    yield* fence.wait();
    fence.put();
    return results[0] as AccessResult;
  }
  return {
    name: gpu.name,
    get runs() {
      return bo?.runs ?? [];
    },
    *import(buf) {
      const imported = yield* gpu.import(buf);
      bo = imported;
      space().map(imported, { va: 0 });
    },
    validate: () => gpu.validate(space(), listed()),
    borrow: (from) => gpu.borrow(space(), 0, from.runs ?? []),
    write: (va, bytes) => job({ do: "write", va, bytes }),
    read: (va, sizeBytes) => job({ do: "read", va, sizeBytes }),
    *close() {
      if (vm) yield* vm.destroy();
      if (bo) yield* gpu.close(bo);
      [vm, bo] = [null, null];
    },
    via(va) {
      const address = vm?.reaches(va) ?? null;
      return address === null ? `GPU address ${hex(va)}` : `DMA address ${hex(address)}`;
    },
  };
}

function kvmPlayer(kvm: KvmImporter): Player {
  const gpa = (offset: number): Gpa => addr<Gpa>(GPA_BASE + offset);
  return {
    name: kvm.name,
    *import(buf, offset, sizeBytes) {
      yield* kvm.setMemslot({ gpa: gpa(offset), sizeBytes, buf, offset });
    },
    *validate() {},
    borrow: cannotBorrow,
    write: (offset, bytes) => kvm.write(gpa(offset), bytes),
    read: (offset, sizeBytes) => kvm.read(gpa(offset), sizeBytes),
    close: () => kvm.destroy(),
    via: (offset) => `GPA ${hex(gpa(offset))}`,
  };
}

function iommufdPlayer(iommufd: Iommufd, device: ReturnType<Machine["device"]>): Player {
  const iova = (offset: number): Parameters<typeof device.write>[0] => addr(IOVA_BASE + offset);
  const ioas = iommufd.createIoas();
  const bound = iommufd.bind(device);
  return {
    name: `${device.name} in the IOAS`,
    *import(buf, start, length) {
      if (!bound.hwpt) yield* bound.attach(ioas);
      const what = { file: buf, start: BigInt(start), length: BigInt(length), iova: BigInt(iova(start)) };
      yield* ioas.mapFile({ ...what, flags: FIXED_READ_WRITE });
    },
    validate: () => ioas.revalidate(),
    borrow: cannotBorrow,
    write: (offset, bytes) => device.write(iova(offset), bytes),
    read: (offset, sizeBytes) => device.read(iova(offset), sizeBytes),
    close: () => iommufd.close(),
    via: (offset) => `IOVA ${hex(iova(offset))}`,
  };
}

/** `IOMMU_IOAS_MAP_FIXED_IOVA`, `WRITEABLE` and `READABLE`. */
const FIXED_READ_WRITE = 7;

function cannotBorrow(): never {
  throw new TypeError("only a device that does DMA in its own domain can borrow an address");
}

/** Bytes that no other write of the run has, so that what arrived says who sent it. */
function pattern(sizeBytes: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31 + seed * 97 + 1) & 0xff);
}
