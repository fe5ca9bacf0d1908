/**
 * The dma-buf core: what exporters and importers call. It checks what the contract's rows and policy say, counts
 * references, and passes calls on. Linux: `drivers/dma-buf/dma-buf.c`. It is built in layers, each one idea:
 * buffers, mappings, attachments, CPU access. Files are `@dma-buf/file`.
 */
import type { Contract, Window } from "./contract.js";
import { CpuAccessCalls } from "./cpu-access.js";
import type { DmaBufAttachment } from "./dma-buf.js";
import { Env, type EnvOptions } from "./env.js";
import type { Config } from "./mappings.js";
import type { Op } from "./op.js";
import type { Direction } from "./run.js";
import type { Scheduler } from "./scheduler.js";

/** A kernel: its contract, its scheduler, how it was built. */
export interface FrameworkOptions extends Config, EnvOptions {
  readonly contract: Contract;
  readonly scheduler: Scheduler;
}

/**
 * One kernel with its buffers.
 * @example
 * const scheduler = new Scheduler();
 * const framework = new Framework({ contract: dmaAddress, scheduler });
 * const buf = framework.export({ exporterName: "mine", ops, sizeBytes: 4096, priv: {} });
 * scheduler.complete("put", framework.put(buf));
 * framework.ledger.buffers; // 0
 */
export class Framework extends CpuAccessCalls {
  constructor(options: FrameworkOptions) {
    super(options.contract, new Env(options.scheduler, options), options);
  }

  /** Opens the contract's view of the buffer for an importer; see `Window`. */
  open(attachment: DmaBufAttachment, direction: Direction): Op<Window> {
    return this.contract.open(this, attachment, direction);
  }
}
