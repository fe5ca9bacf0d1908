/**
 * A device that does DMA to a buffer in its own default domain: a GPU's engine, or a NIC with on-demand paging. It
 * keeps a small table of its own from buffer offsets to DMA addresses, drops it when the exporter invalidates, and
 * fills it again at the next access. How a run becomes a DMA address is the variant's.
 */
import {
  type AccessResult,
  addr,
  type Device,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type Framework,
  type Held,
  type Op,
  point,
  type Run,
  type Window,
  withRuns,
} from "@dma-buf/core";

/** A DMA address that stands for a run, and how to give it back. */
export interface Resolved {
  readonly address: DmaAddr;
  release(): void;
}

/** What a contract's runs are to a device. */
export type Resolve = (device: Device, run: Run) => Resolved;

export interface GpuOptions {
  /** For the trace and findings. @defaultValue the device's name */
  readonly name?: string;
  /** Ask again when the exporter invalidated between asking and installing? @defaultValue true */
  readonly retry?: boolean;
}

interface Entry extends Resolved {
  readonly run: Run;
}

/** One device with its imports. Every operation may sleep. */
export class GpuImporter {
  readonly name: string;
  readonly #fw: Framework;
  readonly #device: Device;
  readonly #resolve: Resolve;
  readonly #retry: boolean;
  #attachment: DmaBufAttachment | null = null;
  #window: Window | null = null;
  #entries: Entry[] = [];
  #sequence = 0;

  constructor(fw: Framework, device: Device, resolve: Resolve, options: GpuOptions) {
    this.#fw = fw;
    this.#device = device;
    this.#resolve = resolve;
    this.#retry = options.retry ?? true;
    this.name = options.name ?? device.name;
  }

  /** Attaches, dynamic and with peer-to-peer. Takes a reference of its own. @throws what the framework or exporter says. */
  *attach(buf: DmaBuf): Op<void> {
    this.#fw.get(buf);
    try {
      const ops: DmaBufAttachOps = { allowPeer2peer: true, invalidateMappings: (_at, held) => this.#invalidate(held) };
      this.#attachment = yield* this.#fw.dynamicAttach(buf, this.#device, { name: this.name, ops });
      this.#window = yield* this.#fw.open(this.#attachment, "bidirectional");
    } catch (error) {
      yield* this.#fw.put(buf);
      throw error;
    }
  }

  /** Fills the table if it is empty: what happens at the first access after attach or invalidate. */
  *validate(): Op<void> {
    while (this.#entries.length === 0) {
      const at = this.#need();
      const window = this.#window as Window;
      const sequence = this.#sequence;
      yield* withRuns(at, window, 0, at.buf.sizeBytes, (runs) => this.#install(runs, sequence));
    }
  }

  /** A DMA write at `offset` of the buffer. */
  *write(offset: number, bytes: Uint8Array): Op<AccessResult> {
    yield* this.validate();
    return yield* this.#device.write(this.addressOf(offset), bytes);
  }

  /** A DMA read at `offset` of the buffer. */
  *read(offset: number, sizeBytes: number): Op<AccessResult> {
    yield* this.validate();
    return yield* this.#device.read(this.addressOf(offset), sizeBytes);
  }

  /** The runs that this device holds now: what it could tell another device. */
  get runs(): readonly Run[] {
    return this.#entries.map((e) => e.run);
  }

  /**
   * Uses runs that another device was given, without an attachment of its own: invalidate will not reach it. Under a
   * contract that maps for one device this breaks a rule, and is a finding.
   */
  borrow(runs: readonly Run[]): void {
    for (const run of runs) {
      if (run.kind === "dma")
        this.#fw.report(
          "violation",
          "mapAttachment",
          "importer",
          `${this.name} uses a DMA address that was mapped for another device`,
        );
      this.#entries.push({ run, ...this.#resolve(this.#device, run) });
    }
  }

  /** Gives everything back; a table that was borrowed too. */
  *detach(): Op<void> {
    const at = this.#attachment;
    this.#clear();
    if (!at) return;
    this.#attachment = null;
    yield* (this.#window as Window).close();
    yield* this.#fw.detachAttachment(at.buf, at);
    yield* this.#fw.put(at.buf);
  }

  *#install(runs: readonly Run[], sequence: number): Op<void> {
    const entries = runs.map((run) => ({ run, ...this.#resolve(this.#device, run) }));
    yield* point("gpu.install");
    if (this.#retry && sequence !== this.#sequence) {
      for (const entry of entries) entry.release();
      return;
    }
    this.#entries = entries;
    this.#fw.trace.emit("store", () => `${this.name}: ${entries.length} run(s) installed`);
  }

  *#invalidate(held: Held): Op<void> {
    this.#sequence++;
    this.#fw.trace.emit("callback", () => `${this.name}: invalidate drops ${this.#entries.length} run(s)`);
    this.#clear();
    if (this.#window) yield* this.#window.drop(held);
  }

  #clear(): void {
    for (const entry of this.#entries) entry.release();
    this.#entries = [];
  }

  /** The DMA address that stands for `offset` now. @throws RangeError where nothing is installed */
  addressOf(offset: number): DmaAddr {
    const entry = this.#entries.find((e) => e.run.offset <= offset && offset < e.run.offset + e.run.sizeBytes);
    if (!entry) throw new RangeError(`${this.name}: offset ${offset} is in no run: it is beyond the buffer`);
    return addr<DmaAddr>(entry.address + offset - entry.run.offset);
  }

  #need(): DmaBufAttachment {
    if (!this.#attachment) throw new RangeError(`${this.name} is not attached: call attach() first`);
    return this.#attachment;
  }
}
