/**
 * What an importer must not do: it takes what it was told for an address of the CPU, puts it into a process's page table,
 * and does not listen when it is told to let go.
 */
import {
  addr,
  type DmaBufAttachment,
  hex,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { Cpu, type MachineDevice } from "@dma-buf/machine";
import * as v from "valibot";
import { type Acts, NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";

/** The process sees it here. */
const VA = 0x7000_0000_0000;
const BYTES = 64;

export const cpuMapperActions = {
  /** Asks for the buffer and maps what it is told into a process. */
  "map-into-process": v.strictObject({}),
  /** The process reads the first bytes there. */
  "process-reads": v.strictObject({}),
};

export class CpuMapper {
  readonly acts: Acts<typeof cpuMapperActions>;
  readonly #stage: Stage;
  readonly #device: MachineDevice;
  #taken: { readonly cpu: Cpu; readonly at: DmaBufAttachment; readonly window: Window } | null = null;
  #address = 0;

  /** @param device attaches */
  constructor(stage: Stage, device: MachineDevice) {
    this.#stage = stage;
    this.#device = device;
    this.acts = { "map-into-process": () => this.#map(), "process-reads": () => this.#read() };
  }

  *close(): Op<void> {
    if (!this.#taken) return;
    const { cpu, at, window } = this.#taken;
    cpu.destroy();
    yield* window.close();
    yield* this.#stage.framework.detachAttachment(at.buf, at);
    this.#taken = null;
  }

  *#map(): Op<void> {
    const { framework, machine } = this.#stage;
    const { buf } = this.#stage.exported("buffer");
    // It has the callback, as it must, and ignores it.
    const importer = { name: "abuser", ops: { allowPeer2peer: true, invalidateMappings() {} } };
    const at = yield* framework.dynamicAttach(buf, this.#device, importer);
    const window = yield* framework.open(at, "bidirectional");
    const cpu = new Cpu(machine, "the importer's process");
    this.#taken = { cpu, at, window };
    this.#address = yield* withRuns(at, window, 0, BYTES, function* ([run]) {
      return run?.address ?? 0;
    });
    cpu.map(VA, addr<PhysAddr>(this.#address), PAGE_SIZE, { cache: "wc" });
  }

  *#read(): Op<void> {
    if (!this.#taken) throw new NotApplicable("nothing is mapped into the process: map it");
    const result = yield* this.#taken.cpu.read(VA, BYTES);
    const { judge, isExcused } = this.#stage;
    const { content } = this.#stage.exported("buffer");
    const met = { content, offset: 0, bytes: content.read(0, BYTES), isTaken: isExcused, via: hex(this.#address) };
    if (result.kind === "page-fault") throw new RangeError(`what was mapped is not: ${result.reason}`);
    judge.access("the importer's process", "read", result, met);
  }
}
