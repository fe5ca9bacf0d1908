/** A buffer of a GPU driver, before and while it is a dma-buf. Linux: `struct amdgpu_bo`. */
import {
  type DmaBuf,
  DmaBufError,
  type ErrnoName,
  isPageAligned,
  PAGE_SIZE,
  DmaResv,
  type Env,
  type Stage,
} from "@dma-buf/core";
import type { Domain, Place } from "./host.js";

const DOMAINS: readonly Domain[] = ["vram", "gtt"];

/** How a buffer object is made. Linux: `struct drm_amdgpu_gem_create_in`. */
export interface BufferObjectOptions {
  /** Whole pages, at least one. */
  readonly sizeBytes: number;
  /** Where it should be. @defaultValue "vram" */
  readonly preferred?: Domain;
  /** Where it may be. @defaultValue both */
  readonly allowed?: readonly Domain[];
  /** The CPU will not look at it: it is put where a small BAR does not show it. @defaultValue false */
  readonly noCpuAccess?: boolean;
  /**
   * Is it put at the end of VRAM first? Where a BAR shows a part only, amdgpu does so with what nobody said a CPU needs.
   * @defaultValue `noCpuAccess`
   */
  readonly topDown?: boolean;
  /** A process's own pages, in RAM: then those are the defaults above. Cannot be exported or pinned. @defaultValue false */
  readonly userptr?: boolean;
  /** Shares the reservation of its process's address space: cannot be exported. @defaultValue false */
  readonly vmAlwaysValid?: boolean;
}

/** Owned by the driver. Where it is changes under its reservation only. */
export interface BufferObject {
  readonly sizeBytes: number;
  readonly preferred: Domain;
  readonly allowed: readonly Domain[];
  readonly userptr: boolean;
  readonly vmAlwaysValid: boolean;
  readonly noCpuAccess: boolean;
  readonly resv: DmaResv;
  /** Where its bytes are, or will be when the KERNEL fences have signalled; `null`: gone for good. */
  readonly place: Place | null;
  /** Pinned, it does not move. */
  readonly pinCount: number;
  /** The one dma-buf that it is exported as, or `null`. */
  readonly buf: DmaBuf | null;
  /** The context of the fences of its moves. */
  readonly fenceContext: number;
}

/** A {@link BufferObject} as the driver itself sees it. */
export type OwnedBo = { -readonly [K in keyof BufferObject]: BufferObject[K] } & {
  /** The handle of who made it, and the dma-buf. */
  refs: number;
  /** Did its creator close it? */
  closed: boolean;
  /** Moves so far. */
  moves: number;
  /** Are importers being told of a move? */
  moving: boolean;
  /** What was taken away, until nobody has it any more. */
  lost: Place | null;
};

/**
 * The options with what was left out.
 * @throws DmaBufError `EINVAL` a size that is not whole pages, what is no domain, a preferred one that is not allowed, or
 * VRAM for a process's own pages. Stage `export`
 */
export function completed(options: BufferObjectOptions): Required<BufferObjectOptions> {
  const { sizeBytes, userptr = false, vmAlwaysValid = false, noCpuAccess = false } = options;
  const { topDown = noCpuAccess } = options;
  const { allowed = userptr ? ["gtt"] : ["vram", "gtt"], preferred = userptr ? "gtt" : "vram" } = options;
  const bad = (message: string): never =>
    refuse("EINVAL", "amdgpu_gem_create_ioctl", "export", message, { sizeBytes, preferred, allowed });
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes <= 0 || !isPageAligned(sizeBytes))
    bad(`${sizeBytes} bytes: give at least one page, and whole pages of ${PAGE_SIZE} bytes`);
  if (!Array.isArray(allowed)) bad(`allowed is ${String(allowed)}: give a list of domains`);
  for (const domain of [preferred, ...allowed])
    if (!DOMAINS.includes(domain)) bad(`${String(domain)} is no domain: there are ${DOMAINS.join(" and ")}`);
  if (userptr && allowed.includes("vram"))
    bad("vram is allowed for a process's own pages, which are RAM: leave it out");
  if (!allowed.includes(preferred))
    bad(`${preferred} is preferred and not allowed: allow it, or prefer another domain`);
  return { sizeBytes, preferred, allowed, userptr, vmAlwaysValid, noCpuAccess, topDown };
}

/** A buffer object with its creator's reference, in `place`. */
export function newBo(options: Required<BufferObjectOptions>, place: Place, env: Env): OwnedBo {
  const fenceContext = env.allocContexts(1);
  const resv = new DmaResv(`resv(bo ${fenceContext})`, env);
  return {
    ...options,
    place,
    resv,
    fenceContext,
    pinCount: 0,
    buf: null,
    refs: 1,
    closed: false,
    moves: 0,
    moving: false,
    lost: null,
  };
}

/** A refusal of this driver; `op` is the kernel's function. */
export function refuse(
  code: ErrnoName,
  op: string,
  stage: Stage,
  message: string,
  values: Record<string, unknown> = {},
): never {
  throw new DmaBufError(code, { op, stage, message, values });
}
