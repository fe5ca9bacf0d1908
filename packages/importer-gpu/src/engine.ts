/**
 * A GPU driver as an importer: buffers appear in address spaces of the GPU, are mapped when a submission lists them, and
 * are let go when their exporter says so. The variants say only how the device comes to an address, and what was posted.
 */
import { type DmaBuf, type DmaFence, type Framework, hex, type Op, type Run, until } from "@dma-buf/core";
import { attach, detach } from "./attach.js";
import { ImportedBo } from "./buffer-object.js";
import { Gpu, type GpuOptions, type Variant } from "./gpu.js";
import type { GpuHost } from "./host.js";
import type {
  Command,
  GpuImporter,
  GpuImporterLedger,
  GpuJob,
  GpuVm,
  ImportedBuffer,
  Listed,
  Submission,
} from "./importer.js";
import { checkObject, checkWord, refuse } from "./refuse.js";
import { Cs, type Request } from "./submit.js";
import { fencedOnBuffer, keptUntilUse } from "./take-down.js";
import { Vm } from "./vm.js";
import { completed } from "./vm-mapping.js";

/** Makes the importer of one GPU in one variant. */
export function gpuEngine(fw: Framework, host: GpuHost, options: GpuOptions, variant: Variant): GpuImporter {
  for (const [name, given] of Object.entries({ options, host, "host.device": host?.device }))
    checkObject(name, given, "gpuImporter");
  const { importer = "dynamic", driver = "amdgpu" } = options;
  checkWord("importer", importer, ["dynamic", "pinned", "static"], "gpuImporter");
  checkWord("driver", driver, ["amdgpu", "xe"], "gpuImporter");
  const takeDowns = { conforming: fencedOnBuffer, keeping: keptUntilUse };
  return new GpuDriver(new Gpu(fw, host, options, variant, takeDowns), variant);
}

class GpuDriver implements GpuImporter {
  readonly name: string;
  readonly #gpu: Gpu;
  readonly #variant: Variant;
  readonly #bos = new Set<ImportedBo>();
  readonly #vms = new Set<Vm>();
  #importing = false;
  #jobs = 0;
  #vmsMade = 0;

  constructor(gpu: Gpu, variant: Variant) {
    this.#gpu = gpu;
    this.#variant = variant;
    this.name = gpu.name;
  }

  get ledger(): GpuImporterLedger {
    const vms = [...this.#vms];
    const borrowed = vms.flatMap((vm) => Array.from(vm.mappings.values(), (m) => m.borrowed?.pieces.length ?? 0));
    const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
    return {
      buffers: this.#bos.size,
      vms: vms.length,
      runs: sum(Array.from(this.#bos, (bo) => bo.live)) + sum(borrowed),
      ranges: sum(vms.map((vm) => vm.mappings.size)),
      tables: sum(vms.map((vm) => vm.table.tables - vm.table.idleTables)),
      jobs: this.#jobs,
    };
  }

  *import(buf: DmaBuf): Op<ImportedBuffer> {
    this.#variant.refuses?.();
    checkObject("the dma-buf", buf, "drm_gem_prime_fd_to_handle");
    // The same dma-buf is the same object, also where two come with it at once. Linux: the file's prime lock.
    yield* until(
      "drm.prime",
      () => !this.#importing,
      () => "another import",
    );
    this.#importing = true;
    try {
      const known = [...this.#bos].find((bo) => bo.buf === buf && !bo.closed);
      if (known) {
        known.refs++;
        return known;
      }
      const bo: ImportedBo | undefined = yield* attach(this.#gpu, buf);
      // Without one: the task is being ended, and what it took was given back.
      if (bo) this.#bos.add(bo);
      return bo;
    } finally {
      this.#importing = false;
    }
  }

  *close(named: ImportedBuffer): Op<void> {
    const bo = this.#needBo(named, "drm_gem_handle_delete");
    if (--bo.refs > 0) return;
    yield* detach(this.#gpu, bo);
    this.#bos.delete(bo);
  }

  createVm(): GpuVm {
    const need = (bo: ImportedBuffer, op: string): ImportedBo => this.#needBo(bo, op);
    const vm = new Vm(this.#gpu, ++this.#vmsMade, need, (gone) => this.#vms.delete(gone));
    this.#vms.add(vm);
    return vm;
  }

  *validate(vm: GpuVm, buffers: readonly Listed[]): Op<void> {
    yield* new Cs(this.#gpu, this.#request(vm, buffers)).run(null);
  }

  *submit(what: Submission): Op<GpuJob> {
    checkObject("the submission", what, "amdgpu_cs_ioctl");
    const { vm, buffers, commands, sync = "implicit" } = what;
    checkWord("sync", sync, ["implicit", "explicit"], "amdgpu_cs_ioctl");
    const request = this.#request(vm, buffers);
    checkCommands(commands);
    const job = (yield* new Cs(this.#gpu, request).run(commands, sync)) as GpuJob | undefined;
    if (job) {
      this.#jobs++;
      job.fence.addCallback({ run: () => void this.#jobs-- });
    }
    return job as GpuJob;
  }

  borrow(named: GpuVm, va: number, runs: readonly Run[]): void {
    const vm = this.#needVm(named, "amdgpu_vm_bo_map");
    const sizeBytes = Math.max(0, ...runs.map((run) => run.offset + run.sizeBytes));
    const range = completed({ va }, sizeBytes);
    for (const run of runs) this.#checkBorrowed(run);
    const borrowed = this.#gpu.reachAll(runs);
    const mapping = { ...range, vm, bo: null, borrowed, isWritten: false };
    try {
      vm.add(mapping);
      vm.write(mapping, borrowed);
    } catch (error) {
      if (vm.mappings.get(va) === mapping) vm.mappings.delete(va);
      for (const { release } of borrowed.pieces) release();
      throw error;
    }
  }

  #checkBorrowed(run: Run): void {
    if (run.kind !== "dma") return;
    const message = `${this.name} uses ${hex(run.address)}, a DMA address that was mapped for another device`;
    this.#gpu.fw.report("violation", "mapAttachment", "importer", message);
  }

  #request(vm: GpuVm, listed: readonly Listed[]): Request {
    if (!Array.isArray(listed) || listed.includes(null) || listed.includes(undefined))
      refuse("EINVAL", "amdgpu_cs_ioctl", "fd", "no list of buffers: give one, or an empty one");
    const buffers = new Map<ImportedBo, boolean>();
    for (const { bo, write = true } of listed) {
      const own = this.#needBo(bo, "amdgpu_cs_ioctl");
      buffers.set(own, write || (buffers.get(own) ?? false));
    }
    return { vm: this.#needVm(vm, "amdgpu_cs_ioctl"), buffers };
  }

  #needBo(bo: ImportedBuffer, op: string): ImportedBo {
    if (bo instanceof ImportedBo && this.#bos.has(bo) && !bo.closed) return bo;
    return refuse("ENOENT", op, "fd", `no buffer of ${this.name}, or closed: import it first`);
  }

  #needVm(vm: GpuVm, op: string): Vm {
    if (vm instanceof Vm && this.#vms.has(vm) && !vm.destroyed) return vm;
    return refuse("ENOENT", op, "fd", `no address space of ${this.name}, or destroyed: make one`);
  }
}

const isWhole = (n: unknown): boolean => Number.isSafeInteger(n) && (n as number) >= 0;

function checkCommands(commands: readonly Command[]): void {
  const bad = (what: string): never => refuse("EINVAL", "amdgpu_cs_ioctl", "fd", what, { commands });
  if (!Array.isArray(commands)) bad("no list of commands: give one");
  for (const command of commands) {
    if (command?.do === "wait") {
      if (typeof (command.fence as Partial<DmaFence> | undefined)?.wait !== "function") bad("no fence to wait for");
      continue;
    }
    if (command?.do !== "read" && command?.do !== "write")
      bad(`a command to ${String((command as { do: unknown } | null)?.do)}: read, write or wait`);
    if (command.do === "write" && !(command.bytes instanceof Uint8Array)) bad("the bytes are no Uint8Array: give one");
    const sizeBytes = command.do === "write" ? command.bytes.length : command.sizeBytes;
    if (!isWhole(command.va) || !isWhole(sizeBytes)) bad(`${sizeBytes} bytes at ${command.va}: give whole numbers`);
  }
}
