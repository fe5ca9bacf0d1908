/**
 * vfio-pci as an exporter: ranges of one BAR as a buffer, revoked when the BAR goes away. The variants say only what
 * the importer is given; the life of the buffer is here, and what takes it away in `device.ts` and `section.ts`.
 */
import {
  type DmaBuf,
  type DmaBufOps,
  type Framework,
  isThenable,
  type MaySleep,
  type Op,
  type P2pProvider,
  perform,
  until,
  type Vma,
} from "@dma-buf/core";
import { sizeOf } from "@dma-buf/scatterlist";
import { VfioDmaBuf } from "./buffer.js";
import { type Conduct, VfioDevice } from "./device.js";
import type { VfioExport, VfioExporter, VfioLedger } from "./exporter.js";
import { decodeFeature, type FeatureSupport } from "./feature.js";
import type { VfioHost } from "./host.js";
import { refuse } from "./refuse.js";
import type { Section } from "./section.js";
import { needExport, needFd } from "./shape.js";
import { physVecs } from "./validate.js";

/** One variant of it. */
export interface Variant extends Conduct {
  /** The operations besides `release`. */
  readonly ops: (priv: VfioDmaBuf) => Omit<DmaBufOps, "release">;
  readonly support: FeatureSupport;
}

/** Makes the exporter of one function in one variant. */
export const vfioEngine = (fw: Framework, host: VfioHost, variant: Variant): VfioExporter =>
  new VfioPci(fw, host, variant);

class VfioPci extends VfioDevice implements VfioExporter {
  readonly #variant: Variant;
  /** Buffers that keep the device registered: until their release, or its last close. */
  readonly #registered = new Set<VfioDmaBuf>();
  #unregistering = false;

  constructor(fw: Framework, host: VfioHost, variant: Variant) {
    super(fw, host, variant);
    this.#variant = variant;
  }

  get ledger(): VfioLedger {
    return { sgTables: this.tables.made, registrations: this.#registered.size };
  }

  /** A mapping keeps its fd open in Linux; here, one that outlives it stays empty. */
  override enabled(): boolean {
    return this.isOpen && super.enabled();
  }

  mmapRegion(regionIndex: number, vma: Vma): void {
    this.needOpen();
    this.mmaps.mmap(regionIndex, vma);
  }

  *export(what: VfioExport): Op<DmaBuf> {
    this.needOpen("export");
    needExport(what);
    const { regionIndex, ranges, openFlags = 0 } = what;
    const { asPosted, ops: served, takesEmpty, byPage } = this.#variant;
    const vecs = physVecs(this.host, regionIndex, ranges, { env: this.fw.env, takesEmpty, byPage });
    if (!asPosted) this.binding.checkExport(vecs, this.#registered);
    if (this.#unregistering) refuse("ENODEV", "export", `${this.name} is being unregistered: bind it again`);
    const provider = this.host.provider(regionIndex) as P2pProvider;
    const priv = new VfioDmaBuf(this, regionIndex, vecs, provider);
    const ops: DmaBufOps = { ...served(priv), release: () => this.#release(priv) };
    const exporterName = `vfio-pci ${this.name}`;
    priv.buf = this.fw.export({ exporterName, ops, sizeBytes: sizeOf(vecs), priv, flags: openFlags });
    this.#registered.add(priv);
    let done = false;
    try {
      yield* this.#list(priv);
      done = true;
      return priv.buf;
    } finally {
      // Whoever asked is gone, and nobody else knows the buffer.
      if (!done) yield* this.fw.fput(priv.buf);
    }
  }

  *deviceFeature(arg: Uint8Array, install: (buf: DmaBuf, openFlags: number) => MaySleep<number>): Op<number> {
    this.needOpen();
    const request = decodeFeature(arg, this.host, this.fw.env, this.#variant.support);
    if (request === "probe") return 0;
    const buf = yield* this.export(request);
    let installed = false;
    try {
      const fd = install(buf, request.openFlags);
      if (isThenable(fd)) throw new TypeError("install returned a Promise: return a number or a generator");
      const done = yield* perform(fd);
      needFd(done);
      installed = true;
      return done;
    } finally {
      if (!installed) yield* this.fw.put(buf);
    }
  }

  *close(): Op<void> {
    this.needOpen();
    this.isOpen = false;
    yield* this.locked("the last close", (section) => this.#abandon(section));
  }

  *unregister(): Op<void> {
    this.#unregistering = true;
    const free = (): boolean => !this.isOpen && this.#registered.size === 0;
    yield* until("vfio.unregister", free, () =>
      this.isOpen ? `the close of ${this.name}` : `the release of ${this.#registered.size} dma-buf(s) of ${this.name}`,
    );
  }

  /** Buffers outlive their device: revoked, and on no list, so nothing gives them back. */
  *#abandon(section: Section): Op<void> {
    yield* section.revoke();
    for (const priv of section.active()) this.#forget(priv);
  }

  /** From export to here nobody else knows the buffer: what it is born as, is decided under the locks of a revoke. */
  *#list(priv: VfioDmaBuf): Op<void> {
    using _lock = yield* this.lock.write("export");
    using _held = yield* priv.buf.resv.lock();
    priv.revoked = !(this.isOpen && this.memoryEnabled());
    this.listed.add(priv);
    // The fd was closed while this waited for the lock.
    if (!this.isOpen) this.#forget(priv);
  }

  *#release(priv: VfioDmaBuf): Op<void> {
    if (!this.#registered.has(priv)) return;
    using _lock = yield* this.lock.write("release");
    this.#forget(priv);
  }

  #forget(priv: VfioDmaBuf): void {
    this.listed.delete(priv);
    this.#registered.delete(priv);
  }
}
