/** A submission: lock everything, map what is not mapped, write entries, look again, queue. Linux: `amdgpu_cs_ioctl()`. */
import { type DmaFence, type DmaResv, type Held, type Op, point, type Run, Usage, usageRw } from "@dma-buf/core";
import { clipped, joined } from "@dma-buf/scatterlist";
import type { ImportedBo } from "./buffer-object.js";
import { Exec } from "./exec.js";
import type { Gpu } from "./gpu.js";
import type { Command, Submission } from "./importer.js";
import { Job } from "./job.js";
import { refuse } from "./refuse.js";
import type { Vm } from "./vm.js";

/** A submission whose names were looked up. A buffer stands here once. */
export interface Request {
  readonly vm: Vm;
  /** With whether the job writes. */
  readonly buffers: ReadonlyMap<ImportedBo, boolean>;
}

/** What a buffer was said to be, asked without its reservation, and when. */
type Answers = Map<ImportedBo, { readonly runs: readonly Run[]; readonly sequence: number }>;

/** One of them under way. Dispose it: whatever it did not {@link queue} for is taken back or given up. */
export class Cs {
  readonly #gpu: Gpu;
  readonly #request: Request;
  readonly #exec: Exec;
  /** Mapped by this submission. */
  readonly #fresh: ImportedBo[] = [];
  /** What the job waits for besides the reservations' fences: entries of other buffers that are being cleared. */
  readonly #before: DmaFence[] = [];

  constructor(gpu: Gpu, request: Request) {
    this.#gpu = gpu;
    this.#request = request;
    this.#exec = new Exec(gpu.fw.env);
    for (const bo of request.buffers.keys()) bo.users++;
  }

  /** Runs it: validates, then, with `commands`, queues a job. @throws DmaBufError as `GpuImporter.submit`; nothing is left */
  *run(commands: readonly Command[] | null, sync: Submission["sync"] = "implicit"): Op<Job | null> {
    let isThrough = false;
    try {
      yield* this.#validate();
      yield* point("amdgpu.notifier_lock");
      this.#recheck();
      const job = commands && this.#queue(commands, sync === "explicit");
      isThrough = true;
      return job;
    } finally {
      // Refused, or ended while somebody never answers.
      if (!isThrough) yield* this.#undo();
      for (const fence of this.#before) fence.put();
      this.#exec.fini();
      for (const bo of this.#request.buffers.keys()) bo.users--;
    }
  }

  *#validate(): Op<void> {
    const { vm, buffers } = this.#request;
    const answers = yield* this.#lock();
    yield* vm.settle();
    for (const bo of buffers.keys()) yield* bo.settle(this.#held(bo));
    yield* this.#lookAround();
    for (const bo of buffers.keys()) yield* this.#populate(bo, answers);
    yield* point("gpu.vm.update");
    for (const mapping of vm.mappings.values()) {
      if (!mapping.bo?.content || !buffers.has(mapping.bo)) continue;
      // Under its reservation: an exporter that moved it in order to map it said so before.
      vm.needsUpdate.delete(mapping);
      vm.write(mapping, mapping.bo.content);
    }
  }

  /** Where the contract's question must be asked without the reservation, it is asked before, and again when it got old. */
  *#lock(): Op<Answers> {
    const { vm, buffers } = this.#request;
    const all = Array.from(buffers.keys());
    for (;;) {
      const answers: Answers = new Map();
      for (const bo of all) yield* ask(bo, answers);
      yield* this.#exec.lockAll([vm.root, ...all.map((bo) => bo.buf.resv)]);
      const isOld = (bo: ImportedBo): boolean => needsAnswer(bo) && answers.get(bo)?.sequence !== bo.sequence;
      const blind = this.#gpu.options.retry === false;
      if (!all.some((bo) => (blind ? needsAnswer(bo) && !answers.has(bo) : isOld(bo)))) return answers;
      this.#exec.unlock();
    }
  }

  /** Ranges of this address space whose buffer was invalidated, listed or not. */
  *#lookAround(): Op<void> {
    const { vm } = this.#request;
    const stale = [];
    for (const mapping of vm.needsUpdate) {
      vm.needsUpdate.delete(mapping);
      const clearing = mapping.bo?.teardown?.fence;
      if (clearing) this.#before.push(clearing.get());
      else if (mapping.isWritten) stale.push(mapping);
    }
    if (stale.length === 0) return;
    // Jobs of this address space may still use them.
    yield* vm.root.waitTimeout(Usage.BOOKKEEP);
    yield* vm.clear(stale);
  }

  *#populate(bo: ImportedBo, answers: Answers): Op<void> {
    if (bo.content) return;
    const { window, sizeBytes } = bo;
    const held = this.#held(bo);
    try {
      const runs = answers.get(bo)?.runs ?? (yield* window.runs(0, sizeBytes, held));
      bo.content = this.#gpu.reachAll(joined(clipped(runs, 0, sizeBytes)));
    } catch (error) {
      // The exporter may have mapped, and what it said is not true, or of no use to the device.
      if (window.resv === "held") yield* window.drop(held);
      throw error;
    }
    this.#fresh.push(bo);
  }

  /** A buffer that is not listed is not locked: it may have been invalidated since its ranges were looked at. */
  #recheck(): void {
    const { needsUpdate, name } = this.#request.vm;
    if (needsUpdate.size > 0 && (this.#gpu.options.rechecks ?? true))
      refuse(
        "EAGAIN",
        "amdgpu_cs_submit",
        "map",
        `${name}: ${needsUpdate.size} range(s) were invalidated: submit again`,
      );
  }

  /** From here on nothing sleeps: what was locked stays as it is. */
  #queue(commands: readonly Command[], explicit: boolean): Job {
    const { vm, buffers } = this.#request;
    const { fw, options } = this.#gpu;
    const { waitsForMoves = true, fences = true } = options;
    // Two buffers may share one: it has one fence of the job, the stronger.
    const resvs = new Map<DmaResv, boolean>();
    for (const [{ buf }, write] of buffers) resvs.set(buf.resv, write || (resvs.get(buf.resv) ?? false));
    // Not when they were locked: an exporter that moved a buffer meanwhile has used room.
    for (const resv of [vm.root, ...resvs.keys()]) resv.reserveFences(this.#exec.held(resv), 1);
    this.#before.push(...vm.root.getFences(Usage.BOOKKEEP));
    for (const [resv, write] of waitsForMoves ? resvs : [])
      this.#before.push(...resv.getFences(explicit ? Usage.KERNEL : usageRw(write)));
    const job = new Job(this.#gpu, vm);
    vm.root.addFence(this.#exec.held(vm.root), job.fence, Usage.BOOKKEEP);
    for (const [resv, write] of fences ? resvs : []) {
      const usage = write ? Usage.WRITE : Usage.READ;
      resv.addFence(this.#exec.held(resv), job.fence, explicit ? Usage.BOOKKEEP : usage);
    }
    job.fence.get();
    fw.scheduler.spawn(`${vm.name} job ${job.fence.seqno}`, job.run(this.#before.splice(0), commands));
    return job;
  }

  /** Takes back what this submission mapped. */
  *#undo(): Op<void> {
    const { vm } = this.#request;
    const fresh = this.#fresh.splice(0);
    yield* vm.clear(Array.from(vm.mappings.values()).filter((m) => m.bo && fresh.includes(m.bo)));
    for (const bo of fresh) {
      const { content } = bo;
      bo.content = null;
      if (content) yield* bo.giveBack(content, this.#held(bo));
    }
  }

  #held(bo: ImportedBo): Held {
    return this.#exec.held(bo.buf.resv);
  }
}

const needsAnswer = (bo: ImportedBo): boolean => bo.window.resv === "free" && bo.content === null;

function* ask(bo: ImportedBo, answers: Answers): Op<void> {
  if (!needsAnswer(bo)) return;
  const { sequence } = bo;
  answers.set(bo, { runs: yield* bo.window.runs(0, bo.sizeBytes, null), sequence });
}
