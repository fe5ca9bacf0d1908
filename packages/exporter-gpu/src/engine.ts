/**
 * A GPU driver as an exporter: buffers that are in VRAM or in RAM, move between the two while they are shared, and are
 * pinned by who is attached. The variants say only what an importer is given; the life of a buffer is here.
 */
import { type DmaBuf, type DmaBufAttachment, type Framework, type Op, type Stage, Usage } from "@dma-buf/core";
import { type BufferObjectOptions, completed, newBo, type OwnedBo, refuse } from "./buffer-object.js";
import type { GpuExporter, GpuLedger } from "./exporter.js";
import { type Gpu, type GpuOptions, present, toBeTold, type Variant } from "./gpu.js";
import type { Domain, GpuHost, Place } from "./host.js";
import { closeHandle, released } from "./life.js";
import { giveBack, takeAway } from "./loss.js";
import { GpuMemoryManager } from "./memory.js";
import { copied, type Move, Mover, rule } from "./move.js";
import { pinIn, unpinOnce } from "./placement.js";

/** Makes the exporter of one GPU in one variant. */
export const gpuEngine = (fw: Framework, host: GpuHost, options: GpuOptions, variant: Variant): GpuExporter =>
  new AmdGpu(fw, host, options, variant);

// A buffer object is read-only for everybody but its driver: whoever hands one back hands back an `OwnedBo`,
// or what `#needOwn()` refuses.
class AmdGpu implements Gpu, GpuExporter {
  readonly fw: Framework;
  readonly host: GpuHost;
  readonly options: GpuOptions;
  readonly memory: GpuMemoryManager;
  readonly mover: Mover;
  readonly live: Set<OwnedBo> = new Set();
  readonly awakeFor: Set<DmaBufAttachment> = new Set();
  readonly keptFor: Set<DmaBufAttachment> = new Set();
  tables = 0;
  removed = false;
  readonly #variant: Variant;
  readonly #made: WeakSet<object> = new WeakSet();

  constructor(fw: Framework, host: GpuHost, options: GpuOptions, variant: Variant) {
    this.fw = fw;
    this.host = host;
    this.options = options;
    this.#variant = variant;
    this.memory = new GpuMemoryManager(fw, host);
    const { settles } = variant;
    const { ignoresFences = false } = options;
    this.mover = new Mover(fw, host, this.memory, { toBeTold: (bo) => toBeTold(this, bo), settles, ignoresFences });
  }

  get ledger(): GpuLedger {
    return {
      bufferObjects: this.live.size,
      vramBytes: this.memory.vramBytes,
      gttBytes: this.memory.gttBytes,
      pins: Array.from(this.live).reduce((n, bo) => n + bo.pinCount, 0),
      runtimeRefs: this.awakeFor.size,
      tables: this.tables,
    };
  }

  create(what: BufferObjectOptions): OwnedBo {
    const whole = completed(what);
    if (this.removed)
      refuse("ENODEV", "amdgpu_gem_create_ioctl", "export", `${this.host.name} was removed: use another`);
    this.fw.env.alloc(rule("amdgpu_bo_create", "export"));
    const bo = newBo(whole, this.#firstPlace(whole), this.fw.env);
    this.live.add(bo);
    this.#made.add(bo);
    return bo;
  }

  export(bo: OwnedBo): DmaBuf {
    this.#needOwn(bo, "drm_gem_prime_handle_to_fd", "export");
    this.#needExportable(bo);
    if (bo.buf && bo.buf.refs > 0) {
      this.fw.get(bo.buf);
      return bo.buf;
    }
    const ops = { ...this.#variant.ops(this, bo), release: (buf: DmaBuf) => released(this, bo, buf) };
    const { sizeBytes, resv } = bo;
    bo.buf = this.fw.export({ exporterName: "amdgpu", ops, sizeBytes, priv: bo, resv, flags: 2 });
    bo.refs++;
    return bo.buf;
  }

  close(bo: OwnedBo): void {
    this.#needOwn(bo, "drm_gem_handle_delete", "export");
    closeHandle(this, bo);
  }

  *move(bo: OwnedBo, to: Domain): Op<void> {
    this.#needOwn(bo, "amdgpu_bo_move", "map");
    const move = yield* this.#startMove(bo, to);
    if (move) yield* copied(move);
    // It is there, or the copy of who brought it there is still under way.
    else yield* bo.resv.waitTimeout(Usage.KERNEL);
  }

  evict(bo: OwnedBo): Op<void> {
    return this.move(bo, "gtt");
  }

  *pin(bo: OwnedBo): Op<void> {
    this.#needOwn(bo, "amdgpu_bo_pin", "pin");
    using held = yield* bo.resv.lock();
    const { domain } = present(this, bo, "amdgpu_bo_pin", "pin");
    yield* pinIn(this, bo, [{ domain }], held, "pin");
  }

  *unpin(bo: OwnedBo): Op<void> {
    this.#needOwn(bo, "amdgpu_bo_unpin", "pin");
    using _held = yield* bo.resv.lock();
    unpinOnce(this, bo, "exporter");
  }

  *lose(bo: OwnedBo): Op<void> {
    this.#needOwn(bo, "drm_dev_unplug", "map");
    yield* takeAway(this, bo);
    yield* giveBack(this, bo);
  }

  /** Everybody is told before anybody is waited for: who never unmaps keeps the others from nothing. */
  *remove(): Op<void> {
    this.removed = true;
    if (this.options.asPosted) return;
    for (const bo of this.live) yield* takeAway(this, bo);
    for (const bo of this.live) yield* giveBack(this, bo);
  }

  #firstPlace({ sizeBytes, preferred, allowed, topDown }: Required<BufferObjectOptions>): Place {
    for (const domain of [preferred, ...allowed.filter((d) => d !== preferred)]) {
      const place = this.memory.alloc(sizeBytes, { domain, topDown }, "export");
      if (place) return place;
    }
    return refuse("ENOMEM", "amdgpu_bo_create", "export", `no room for ${sizeBytes} bytes in ${allowed.join(", ")}`);
  }

  #needOwn(bo: OwnedBo, op: string, stage: Stage): void {
    if (!this.#made.has(bo))
      refuse("ENOENT", op, stage, `this is no buffer object of ${this.host.name}: give one that its create() made`);
  }

  #needExportable(bo: OwnedBo): void {
    if (bo.closed)
      refuse("ENOENT", "drm_gem_prime_handle_to_fd", "export", "its handle is closed: export before closing it");
    const no = (why: string): never => refuse("EPERM", "amdgpu_gem_prime_export", "export", why);
    if (bo.userptr) no("these are a process's own pages: export a buffer of the driver's");
    if (bo.vmAlwaysValid) no("it shares the reservation of its address space: make it without VM_ALWAYS_VALID");
    present(this, bo, "amdgpu_gem_prime_export", "export");
  }

  /** `null`: it is there already. */
  *#startMove(bo: OwnedBo, to: Domain): Op<Move | null> {
    const op = "amdgpu_bo_move";
    using held = yield* bo.resv.lock();
    const place = present(this, bo, op, "map");
    if (this.memory.fits(place, { domain: to })) return null;
    if (!bo.allowed.includes(to)) refuse("EINVAL", op, "map", `it may not be in ${to}: it may in ${bo.allowed.join()}`);
    if (bo.pinCount > 0) refuse("EBUSY", op, "map", `pinned ${bo.pinCount} time(s): unpin it first`);
    const next = this.memory.alloc(bo.sizeBytes, { domain: to }, "map");
    if (!next) return refuse("ENOMEM", op, "map", `no room for ${bo.sizeBytes} bytes in ${to}: free some`);
    return yield* this.mover.moveTo(bo, next, held, "map");
  }
}
