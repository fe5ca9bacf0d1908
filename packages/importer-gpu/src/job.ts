/** What the GPU does with a job: waits, accesses memory through its own table and TLB, and signals. */
import {
  type AccessResult,
  addr,
  type DmaAddr,
  DmaFence,
  ERRNO,
  type FabricAddr,
  type Op,
  PAGE_SIZE,
  point,
} from "@dma-buf/core";
import type { Gpu } from "./gpu.js";
import type { Command, GpuJob } from "./importer.js";
import type { Translated } from "./tlb.js";
import { over } from "./take-down.js";
import type { Vm } from "./vm.js";

type Write = Extract<Command, { do: "write" }>;
type Read = Extract<Command, { do: "read" }>;

export class Job implements GpuJob {
  readonly fence: DmaFence;
  readonly results: AccessResult[] = [];
  readonly #gpu: Gpu;
  readonly #vm: Vm;

  constructor(gpu: Gpu, vm: Vm) {
    this.#gpu = gpu;
    this.#vm = vm;
    const ops = { driverName: () => gpu.name, timelineName: () => vm.name };
    this.fence = new DmaFence(gpu.fw.env, ops, vm.context, ++vm.seqno);
  }

  /** Runs it behind the fences `before`, which it puts. What the device throws ends it: its fence has the error. */
  *run(before: readonly DmaFence[], commands: readonly Command[]): Op<void> {
    try {
      yield* over(before);
      for (const command of commands) {
        if (command.do === "wait") yield* command.fence.wait();
        else this.results.push(yield* command.do === "write" ? this.#write(command) : this.#read(command));
      }
    } catch (error) {
      // Whoever waits for the fence must not wait for ever, nor believe that it was done.
      this.fence.setError(-ERRNO.EIO);
      this.results.push({ kind: "lost", reason: `the job failed: ${String(error)}` });
      throw error;
    } finally {
      this.fence.signal();
      this.fence.put();
    }
  }

  *#write({ va, bytes }: Write): Op<AccessResult> {
    for (const { at, length } of pieces(va, bytes.length)) {
      const result = yield* this.#access(va + at, bytes.subarray(at, at + length), length);
      if (result.kind !== "done") return result;
    }
    return { kind: "done", bytes: new Uint8Array(0) };
  }

  *#read({ va, sizeBytes }: Read): Op<AccessResult> {
    const bytes = new Uint8Array(sizeBytes);
    for (const { at, length } of pieces(va, sizeBytes)) {
      const result = yield* this.#access(va + at, null, length);
      if (result.kind !== "done") return result;
      bytes.set(result.bytes, at);
    }
    return { kind: "done", bytes };
  }

  /** Of one page. From the translation to the arrival it is on its way: a flush waits for it. */
  *#access(va: number, bytes: Uint8Array | null, sizeBytes: number): Op<AccessResult> {
    yield* point("gpu.access");
    const { tlb, name } = this.#vm;
    const found = tlb.translate(va, bytes ? "write" : "read");
    if (found.kind === "fault") return { kind: "fault", by: name, reason: found.reason };
    const arrived = tlb.depart();
    try {
      return yield* bytes ? this.#send(found, bytes) : this.#fetch(found, sizeBytes);
    } finally {
      arrived();
    }
  }

  #send({ address, deviceMemory }: Translated, bytes: Uint8Array): Op<AccessResult> {
    const { device, fabric } = this.#gpu.host;
    if (deviceMemory && fabric) return fabric.write(addr<FabricAddr>(address), bytes);
    return device.write(addr<DmaAddr>(address), bytes);
  }

  #fetch({ address, deviceMemory }: Translated, sizeBytes: number): Op<AccessResult> {
    const { device, fabric } = this.#gpu.host;
    if (deviceMemory && fabric) return fabric.read(addr<FabricAddr>(address), sizeBytes);
    return device.read(addr<DmaAddr>(address), sizeBytes);
  }
}

/** No access crosses a page of the GPU's. */
function* pieces(va: number, sizeBytes: number): Generator<{ readonly at: number; readonly length: number }> {
  for (let at = 0; at < sizeBytes; ) {
    const length = Math.min(PAGE_SIZE - ((va + at) % PAGE_SIZE), sizeBytes - at);
    yield { at, length };
    at += length;
  }
}
