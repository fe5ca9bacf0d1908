/**
 * A GPU driver as an exporter: buffers that are in VRAM or in RAM, move between the two while they are shared, and are
 * pinned by who is attached. The variants say only what an importer is given; the life of a buffer is here.
 */
import { type DmaBuf, type Framework, type Op, type ResvGuard, until, Usage } from "@dma-buf/core";
import { type BufferObjectOptions, completed, newBo, type OwnedBo, refuse } from "./buffer-object.js";
import type { GpuExporter } from "./exporter.js";
import { type Gpu, type GpuOptions, present, toBeTold, type Variant } from "./gpu.js";
import type { Domain, GpuHost, Place } from "./host.js";
import { GpuMemoryManager } from "./memory.js";
import { closeHandle, released } from "./life.js";
import { copied, Mover, rule } from "./move.js";
import { pinIn, unpinOnce } from "./placement.js";

export function gpuEngine(fw: Framework, host: GpuHost, options: GpuOptions, variant: Variant): GpuExporter {
  const memory = new GpuMemoryManager(fw, host);
  const { ignoresFences = false } = options;
  const mover = new Mover(fw, host, memory, {
    toBeTold: (bo) => toBeTold(gpu, bo),
    settles: variant.settles,
    ignoresFences,
  });
  const live = new Set<OwnedBo>();
  const gpu: Gpu = { fw, host, options, memory, mover, live, awakeFor: new Set(), tables: 0, removed: false };

  function create(what: BufferObjectOptions): OwnedBo {
    const whole = completed(what);
    if (gpu.removed) refuse("ENODEV", "amdgpu_gem_create_ioctl", "export", `${host.name} was removed: use another`);
    fw.env.alloc(rule("amdgpu_bo_create", "export"));
    const bo = newBo(whole, firstPlace(whole), fw.env);
    live.add(bo);
    return bo;
  }

  function firstPlace({ sizeBytes, preferred, allowed, noCpuAccess }: Required<BufferObjectOptions>): Place {
    for (const domain of [preferred, ...allowed.filter((d) => d !== preferred)]) {
      const place = memory.alloc(sizeBytes, { domain, topDown: noCpuAccess }, "export");
      if (place) return place;
    }
    return refuse("ENOMEM", "amdgpu_bo_create", "export", `no room for ${sizeBytes} bytes in ${allowed.join(", ")}`);
  }

  function exportBo(bo: OwnedBo): DmaBuf {
    if (bo.closed)
      refuse("ENOENT", "drm_gem_prime_handle_to_fd", "export", "its handle is closed: export before closing it");
    const no = (why: string): never => refuse("EPERM", "amdgpu_gem_prime_export", "export", why);
    if (bo.userptr) no("these are a process's own pages: export a buffer of the driver's");
    if (bo.vmAlwaysValid) no("it shares the reservation of its address space: make it without VM_ALWAYS_VALID");
    present(gpu, bo, "amdgpu_gem_prime_export", "export");
    if (bo.buf && bo.buf.refs > 0) {
      fw.get(bo.buf);
      return bo.buf;
    }
    const ops = { ...variant.ops(gpu, bo), release: (buf: DmaBuf) => released(gpu, bo, buf) };
    const { sizeBytes, resv } = bo;
    bo.buf = fw.export({ exporterName: "amdgpu", ops, sizeBytes, priv: bo, resv, flags: 2 });
    bo.refs++;
    return bo.buf;
  }

  function* move(bo: OwnedBo, to: Domain): Op<void> {
    yield* copied(yield* startMove(bo, to));
  }

  function* startMove(bo: OwnedBo, to: Domain): ReturnType<Mover["moveTo"]> {
    const op = "amdgpu_bo_move";
    using held = yield* bo.resv.lock();
    present(gpu, bo, op, "map");
    if (bo.pinCount > 0) refuse("EBUSY", op, "map", `pinned ${bo.pinCount} time(s): unpin it first`);
    if (!bo.allowed.includes(to)) refuse("EINVAL", op, "map", `it may not be in ${to}: it may in ${bo.allowed.join()}`);
    const next = memory.alloc(bo.sizeBytes, { domain: to }, "map");
    if (!next) return refuse("ENOMEM", op, "map", `no room for ${bo.sizeBytes} bytes in ${to}: free some`);
    return yield* mover.moveTo(bo, next, held, "map");
  }

  function* pin(bo: OwnedBo): Op<void> {
    using held = yield* bo.resv.lock();
    const { domain } = present(gpu, bo, "amdgpu_bo_pin", "pin");
    yield* pinIn(gpu, bo, [{ domain }], held, "pin");
  }

  function* unpin(bo: OwnedBo): Op<void> {
    using _held = yield* bo.resv.lock();
    unpinOnce(gpu, bo, "exporter");
  }

  function* lose(bo: OwnedBo): Op<void> {
    using guard = yield* bo.resv.lock();
    const { place } = bo;
    const buf = toBeTold(gpu, bo);
    if (!place) return;
    // Before the callbacks: a map that an importer tries from inside its callback must find it gone.
    bo.place = null;
    if (buf) yield* fw.invalidate(buf, guard);
    yield* bo.resv.waitTimeout(Usage.BOOKKEEP);
    if (buf && !options.asPosted) yield* drained(buf, guard);
    memory.free(place);
  }

  function* drained(buf: DmaBuf, guard: ResvGuard): Op<void> {
    yield* fw.drain(buf, guard);
    // Nobody tells the kernel's own users.
    const unmapped = (): boolean => buf.vmaps === 0;
    yield* until("dma_buf.vunmap", unmapped, () => `vunmap by ${buf.vmaps} user(s) of the kernel's mapping`);
  }

  return {
    create,
    export: (bo) => exportBo(bo as OwnedBo),
    close: (bo) => closeHandle(gpu, bo as OwnedBo),
    move: (bo, to) => move(bo as OwnedBo, to),
    evict: (bo) => move(bo as OwnedBo, "gtt"),
    pin: (bo) => pin(bo as OwnedBo),
    unpin: (bo) => unpin(bo as OwnedBo),
    lose: (bo) => lose(bo as OwnedBo),
    *remove() {
      gpu.removed = true;
      if (!options.asPosted) for (const bo of live) yield* lose(bo);
    },
    get ledger() {
      return {
        bufferObjects: live.size,
        vramBytes: memory.vramBytes,
        gttBytes: memory.gttBytes,
        pins: Array.from(live).reduce((n, bo) => n + bo.pinCount, 0),
        runtimeRefs: gpu.awakeFor.size,
        tables: gpu.tables,
      };
    },
  };
}
