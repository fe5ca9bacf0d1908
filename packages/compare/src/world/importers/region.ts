/** A memory region over the buffer, and the accesses that go through it: what an importer of the package importer-rdma does. */
import { DmaBufError, hex, type Op } from "@dma-buf/core";
import type { MemoryRegion, MrKind, RdmaImporter, RdmaResult, RdmaTarget } from "@dma-buf/importer-rdma";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { type Accessor, accessActions, accessActs } from "../access.js";
import { type Acts, NotApplicable } from "../actor.js";
import type { Rule } from "../../result.js";
import type { Stage } from "../stage.js";

/** Registers a memory region over the buffer, or a part of it; without `prefetch` an on-demand one is mapped at its first access. */
export const importArgs = v.strictObject({
  buffer: v.optional(v.string(), "buffer"),
  offset: v.optional(size, 0),
  bytes: v.optional(size),
  prefetch: v.optional(v.boolean(), true),
});
type ImportArgs = v.InferOutput<typeof importArgs>;

export interface RegionOptions {
  /** What a step of the scenario calls it. */
  readonly name: string;
  readonly rdma: RdmaImporter;
  readonly kind: MrKind;
  /** Which of its functions does the DMA. @defaultValue the first */
  readonly dmaDevice?: number;
  /** Does its user register again, when an access ends because the region was revoked for good? */
  readonly registersAgain?: boolean;
}

export class Region {
  readonly #stage: Stage;
  readonly #options: RegionOptions;
  #registered: { readonly mr: MemoryRegion; readonly args: ImportArgs } | null = null;
  /** The last one: who uses it too late uses this. */
  #last: { readonly mr: MemoryRegion; readonly args: ImportArgs } | null = null;

  constructor(stage: Stage, options: RegionOptions) {
    this.#stage = stage;
    this.#options = options;
  }

  get mr(): MemoryRegion {
    if (!this.#last) throw new NotApplicable(`${this.#options.name} has imported nothing`);
    return this.#last.mr;
  }

  get buffer(): string {
    return this.#last?.args.buffer ?? "buffer";
  }

  *register(args: ImportArgs): Op<void> {
    const { rdma, kind, dmaDevice = 0 } = this.#options;
    const { buffer, offset, bytes, prefetch } = args;
    const { buf } = this.#stage.exported(buffer);
    const sizeBytes = bytes ?? buf.sizeBytes - offset;
    this.#last = this.#registered = {
      mr: yield* rdma.regMr({ buf, kind, offset, sizeBytes, prefetch, dmaDevice }),
      args,
    };
  }

  *deregister(): Op<void> {
    const registered = this.#registered;
    this.#registered = null;
    if (registered) yield* this.#options.rdma.deregMr(registered.mr);
  }

  /** Registers and deregisters, and lets what refuses be. */
  *tryOut(args: ImportArgs): Op<void> {
    try {
      yield* this.churn(args, 1);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
    }
  }

  /** Registers and deregisters, so many times. */
  *churn(args: ImportArgs, times: number): Op<void> {
    for (let i = 0; i < times; i++) {
      yield* this.register(args);
      yield* this.deregister();
    }
  }

  prefetch(): Op<void> {
    return this.#options.rdma.prefetch(this.mr);
  }

  /** What the table says is where the device would send its next request. */
  lookIntoTable(): void {
    const { judge, isTaken } = this.#stage;
    const { entries } = this.mr;
    const what = isTaken ? "memory that was taken away" : "the buffer";
    const rule: Rule = {
      kind: "device",
      id: "I2",
      text: `${this.#options.rdma.name}: its translation table has ${entries} entries of ${what}`,
    };
    if (isTaken && entries > 0) judge.mark("STALE", rule);
    else judge.good(rule);
  }

  /** `read` and `write` by its key. */
  accesses(): Acts<typeof accessActions> {
    const { rdma } = this.#options;
    const accessor: Accessor = {
      name: rdma.name,
      buffer: () => this.buffer,
      write: (iova, bytes) => this.#through(iova, (target) => rdma.write(target, bytes)),
      read: (iova, sizeBytes) => this.#through(iova, (target) => rdma.read(target, sizeBytes)),
      via: (offset) => this.#via(offset),
    };
    return accessActs(this.#stage, accessor);
  }

  #via(offset: number): string {
    const address = this.mr.reaches(offset);
    return address === null ? "no address" : `address ${hex(address)}`;
  }

  *#through(iova: number, access: (target: RdmaTarget) => Op<RdmaResult>): Op<RdmaResult> {
    const result = yield* access({ key: this.mr.rkey, iova });
    if (this.mr.state !== "revoked" || !this.#options.registersAgain) return result;
    yield* this.#again();
    return yield* access({ key: this.mr.rkey, iova });
  }

  *#again(): Op<void> {
    const { args } = this.#registered as { readonly args: ImportArgs };
    yield* this.deregister();
    yield* this.register(args);
  }
}
