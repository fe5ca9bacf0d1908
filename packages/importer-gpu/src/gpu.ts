/** What the parts of the driver share: one GPU, how it comes to addresses, and how it lets go of them. */
import { DmaFence, type Framework, type Held, type Op, type Run, Usage } from "@dma-buf/core";
import type { Reach } from "@dma-buf/scatterlist";
import type { Content, ImportedBo, Piece } from "./buffer-object.js";
import type { GpuHost } from "./host.js";
import { ownMemory } from "./own-memory.js";

/** How the driver behaves; the faults are there to be seen. */
export interface GpuOptions {
  /** For the trace and findings. @defaultValue the device's name */
  readonly name?: string;
  /**
   * How it attaches. `dynamic`: maps at the next use, and lets go when it is told. `pinned`: as a compositor for scan-out, which
   * cannot let go. `static`: as drivers without callbacks do, mapped from import to close. @defaultValue "dynamic"
   */
  readonly importer?: "dynamic" | "pinned" | "static";
  /** The driver as it is in Linux, where that differs from the best the contract allows. @defaultValue false */
  readonly asPosted?: boolean;
  /** Whose driver is played as posted: `xe` keeps what was evicted until its next use. @defaultValue "amdgpu" */
  readonly driver?: "amdgpu" | "xe";
  /**
   * What was invalidated is mapped, and its entries lead there, until the buffer is validated again or closed. Contracts that
   * name no bound for the unmap allow it. @defaultValue false
   */
  readonly keeps?: boolean;
  /** A fault to inject, `false`: what was asked without the reservation is installed without a second look. @defaultValue true */
  readonly retry?: boolean;
  /** A fault to inject, `false`: entries are cleared, and the TLB is not flushed. @defaultValue true */
  readonly flush?: boolean;
  /** A fault to inject, `false`: a job does not wait for KERNEL fences. @defaultValue true */
  readonly waitsForMoves?: boolean;
  /** A fault to inject, `false`: a job's fence is in no buffer's reservation. @defaultValue true */
  readonly fences?: boolean;
  /** A fault to inject, `false`: nobody looks whether something was invalidated before a job is queued. @defaultValue true */
  readonly rechecks?: boolean;
  /** A fault to inject, `false`: nobody looks whether it is the virtual function's own slice of memory. @defaultValue true */
  readonly checksSlice?: boolean;
}

/**
 * Lets go of what an invalidated buffer had. Called in the callback, its reservation held; when the buffer's fences have
 * signalled after it returns, no access may arrive any more.
 */
export type TakeDown = (gpu: Gpu, bo: ImportedBo, content: Content, held: Held) => Op<void>;

/** What a contract makes of the driver. */
export interface Variant {
  /** How the device comes to an address. */
  reach(host: GpuHost): Reach;
  /** The driver as posted, where somebody posted it. */
  readonly asPosted?: Readonly<Record<NonNullable<GpuOptions["driver"]>, TakeDown>>;
  /** Does an importer that cannot let go say so by leaving the callback out? @defaultValue false: it asks for a pin */
  readonly deafIfPinned?: boolean;
  /** Why it cannot import at all; throws. */
  refuses?(): never;
}

/** The ways to let go that are not a variant's own. */
export interface TakeDowns {
  /** The best that every contract allows. */
  readonly conforming: TakeDown;
  /** `GpuOptions.keeps`. */
  readonly keeping: TakeDown;
}

/** One GPU with its driver. */
export class Gpu {
  readonly fw: Framework;
  readonly host: GpuHost;
  readonly name: string;
  readonly options: GpuOptions;
  readonly reach: Reach;
  readonly takeDown: TakeDown;
  /** It brings no callback: it cannot let go, and says so. */
  readonly isDeaf: boolean;
  /** Fence contexts of its jobs. */
  readonly contexts: Set<number> = new Set();
  #seqno = 0;

  constructor(fw: Framework, host: GpuHost, options: GpuOptions, variant: Variant, { conforming, keeping }: TakeDowns) {
    this.fw = fw;
    this.host = host;
    this.options = options;
    this.name = options.name ?? host.device.name;
    this.reach = variant.reach(host);
    const posted = options.asPosted && variant.asPosted?.[options.driver ?? "amdgpu"];
    this.takeDown = options.keeps ? keeping : posted || conforming;
    this.isDeaf = options.importer === "pinned" && (variant.deafIfPinned ?? false);
  }

  /** A fence of work that is no job. */
  newFence(what: string): DmaFence {
    const ops = { driverName: () => this.name, timelineName: () => what };
    return new DmaFence(this.fw.env, ops, this.fw.env.allocContexts(1), ++this.#seqno);
  }

  /** The jobs of this GPU that list the buffer and are not over, each with a reference. */
  jobsOn(held: Held): DmaFence[] {
    const slots = held.resv.forEach(held, Usage.BOOKKEEP);
    const own = slots.filter(({ fence }) => this.contexts.has(fence.context) && !fence.signaled);
    return own.map(({ fence }) => fence.get());
  }

  /** Reaches all of the runs, or none of them. @throws DmaBufError as the variant's `reach` */
  reachAll(runs: readonly Run[]): Content {
    const pieces: Piece[] = [];
    try {
      for (const run of runs) pieces.push(this.#piece(run));
    } catch (error) {
      for (const { release } of pieces) release();
      throw error;
    }
    return { pieces };
  }

  #piece(run: Run): Piece {
    const own = ownMemory(this.host, run, this.options.checksSlice ?? true);
    return { run, deviceMemory: own !== null || run.kind === "device-private", ...(own ?? this.reach(run)) };
  }
}
