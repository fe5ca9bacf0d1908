/** The CPU's side: reads that want RAM, a process's mapping with its fault handler, the kernel's own mapping. */
import {
  type Direction,
  DmaBufError,
  type DmaBufOps,
  type Held,
  type IosysMap,
  type Op,
  type PfnAnswer,
  type ResvGuard,
  Usage,
} from "@dma-buf/core";
import { frameAt } from "@dma-buf/scatterlist";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { type Gpu, present } from "./gpu.js";
import type { Wanted } from "./memory.js";
import { rule } from "./move.js";
import { pinDomains, pinIn, shownIn, unpinOnce } from "./placement.js";

type CpuSide = "beginCpuAccess" | "mmap" | "vmap" | "vunmap";

export function cpuSide(gpu: Gpu, bo: OwnedBo): Pick<DmaBufOps, CpuSide> {
  return {
    beginCpuAccess: (_buf, direction) => beginCpuAccess(gpu, bo, direction),
    mmap(_buf, vma) {
      const op = "amdgpu_gem_object_mmap";
      present(gpu, bo, op, "mmap");
      if (gpu.options.asPosted && bo.noCpuAccess)
        refuse("EPERM", op, "mmap", "made with NO_CPU_ACCESS: make it without");
      vma.fault = (page) => fault(gpu, bo, vma.pgoff + page);
    },
    vmap: (_buf, held) => vmap(gpu, bo, held),
    vunmap(_buf, map) {
      gpu.host.vunmap(map.address);
      unpinOnce(gpu, bo, "exporter");
    },
  };
}

/**
 * The kernel's own mapping keeps the buffer where a CPU sees it, the preferred domain first. As posted nobody waits for
 * the bytes: whoever reads asks `begin_cpu_access` too.
 */
function* vmap(gpu: Gpu, bo: OwnedBo, held: Held): Op<IosysMap> {
  present(gpu, bo, "amdgpu_dma_buf_vmap", "cpu-access");
  gpu.fw.env.alloc(rule("ttm_bo_vmap", "cpu-access"));
  const domains = pinDomains(gpu, bo, gpu.host.window !== null);
  yield* pinIn(gpu, bo, shownIn(gpu, domains), held, "cpu-access");
  let address: number | null = null;
  try {
    if (!gpu.options.asPosted) yield* held.resv.waitTimeout(Usage.KERNEL);
    const place = present(gpu, bo, "amdgpu_dma_buf_vmap", "cpu-access");
    const vecs = gpu.memory.physVecs(place);
    if (!vecs) return refuse("EINVAL", "ttm_bo_vmap", "cpu-access", "pinned where the BAR does not show it: unpin it");
    address = gpu.host.vmap(vecs.map(({ physical, sizeBytes }) => ({ start: physical, sizeBytes })));
    return { address, isIomem: place.domain === "vram" };
  } finally {
    if (address === null) unpinOnce(gpu, bo, "exporter");
  }
}

/** A read by the CPU is slow from VRAM: the buffer comes to RAM, if it may and nobody pinned it. Then the core waits. */
function* beginCpuAccess(gpu: Gpu, bo: OwnedBo, direction: Direction): Op<void> {
  if (direction === "to-device" || gpu.options.displayFromGtt === false) return;
  using held = yield* reserve(bo);
  if (bo.pinCount > 0 || !bo.place || !bo.allowed.includes("gtt")) return;
  yield* gpu.mover.validate(bo, [{ domain: "gtt" }], held, "cpu-access");
}

/** Linux: `amdgpu_bo_reserve()`. @throws DmaBufError `ERESTARTSYS` where the lock says `EINTR` */
function* reserve(bo: OwnedBo): Op<ResvGuard> {
  try {
    return yield* bo.resv.lock(null, { interruptible: true });
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    return refuse("ERESTARTSYS", "amdgpu_bo_reserve", "cpu-access", "a signal is pending: start the call again");
  }
}

/**
 * The frame of a page that a process touches. VRAM that the BAR does not show is moved first. SIGBUS is `EFAULT` here.
 * Takes the reservation: true at one instant, and an invalidate takes the entry out.
 */
function* fault(gpu: Gpu, bo: OwnedBo, pgoff: number): Op<PfnAnswer> {
  const op = "amdgpu_bo_fault_reserve_notify";
  const no = (why: string): never => refuse("EFAULT", op, "mmap", `page ${pgoff} cannot be shown: ${why}`);
  using held = yield* bo.resv.lock();
  if (!gpu.memory.isVisible(present(gpu, bo, op, "mmap"))) {
    if (bo.pinCount > 0) no("it is pinned beyond the window of the BAR: unpin it first");
    const places: readonly Wanted[] = [{ domain: "vram", visible: true }, { domain: "gtt" }];
    const possible = places.filter((w) => bo.allowed.includes(w.domain));
    try {
      yield* gpu.mover.validate(bo, possible, held, "mmap");
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      no(error.message);
    }
  }
  yield* held.resv.waitTimeout(Usage.KERNEL);
  const vecs = gpu.memory.physVecs(present(gpu, bo, op, "mmap")) ?? [];
  return frameAt(vecs, pgoff) ?? no("it is beyond the end");
}
