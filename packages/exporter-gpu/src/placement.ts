/** Where a buffer must be for who maps or pins it. */
import type { DmaBufAttachment, DmaBufOps, Held, Op, Stage } from "@dma-buf/core";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { type Gpu, overFabric, present } from "./gpu.js";
import type { Domain, Place } from "./host.js";
import type { Wanted } from "./memory.js";

/**
 * Where the buffer is once it is where `at` can use it: VRAM for a peer if that is preferred and has room, else RAM. A
 * pinned one is where it is. Call with the reservation held; KERNEL fences may still move the bytes there.
 * @throws DmaBufError `ENODEV` gone · `EOPNOTSUPP` it may not be where `at` reaches it, or would move and `at` not be told ·
 * `ENOMEM` no room · `EBUSY` asked for from inside the callback that tells of a move
 */
export function* placeFor(gpu: Gpu, bo: OwnedBo, at: DmaBufAttachment, held: Held, by: "address" | "frame"): Op<Place> {
  const [op, stage]: [string, Stage] = by === "frame" ? ["get_pfn", "query"] : ["amdgpu_dma_buf_map", "map"];
  const place = present(gpu, bo, op, stage);
  settled(gpu, bo, op, stage);
  canBeTold(gpu, at, op, stage);
  const wanted = usable(gpu, bo, at, by);
  const noWay = (why: string): never =>
    refuse("EOPNOTSUPP", op, stage, `${at.importerName} cannot be served by ${gpu.host.name}: ${why}`);
  if (bo.pinCount > 0) {
    // As posted nobody looks at where a pinned buffer is: whoever maps it gets an address.
    if (gpu.options.asPosted || wanted.some((w) => gpu.memory.fits(place, w))) return place;
    return noWay(`the buffer is pinned in ${place.domain}, where this importer does not reach it: unpin it first`);
  }
  if (wanted.length === 0) noWay(`the buffer may be in ${bo.allowed.join(", ")} only: let it move to RAM`);
  yield* gpu.mover.validate(bo, wanted, held, stage);
  return present(gpu, bo, op, stage);
}

/** Where the buffer will be is known when all importers were told: who asks in its callback would get the old place. */
function settled({ fw }: Gpu, bo: OwnedBo, op: string, stage: Stage): void {
  if (!bo.moving) return;
  fw.report("violation", "invalidateMappings", "importer", `a callback that is told of a move calls ${op}`);
  refuse("EBUSY", op, stage, "the buffer is about to move: ask when the callback has returned");
}

/** Who is neither told of a move nor has pinned would go on at the old place. As posted that is the importer's affair. */
function canBeTold({ fw, options, keptFor }: Gpu, at: DmaBufAttachment, op: string, stage: Stage): void {
  if (options.asPosted || fw.isRevocable(at) || at.pins > 0 || keptFor.has(at)) return;
  refuse(
    "EOPNOTSUPP",
    op,
    stage,
    `${at.importerName} cannot be told when the buffer moves: bring the callback, or pin`,
  );
}

/** Pinning for who is attached. */
export function pinnable(gpu: Gpu, bo: OwnedBo): Pick<DmaBufOps, "pin" | "unpin"> {
  return {
    *pin(at, held) {
      present(gpu, bo, "amdgpu_dma_buf_pin", "pin");
      if (!(gpu.options.pinnable ?? true) && !gpu.options.asPosted)
        refuse("EINVAL", "amdgpu_dma_buf_pin", "pin", `${gpu.host.name} may have to move it: attach without a pin`);
      // Whoever is attached must be served by where it stays: not only who pins.
      const peersOnly = at.buf.attachments.every((other) => other.peer2peer);
      const domains = pinDomains(gpu, bo, peersOnly);
      if (domains.length === 0)
        gpu.fw.report("warn", "pin", "exporter", `${at.importerName} pins what may be in VRAM only, and is no peer`);
      yield* pinIn(gpu, bo, shownIn(gpu, domains), held, "pin");
    },
    unpin: () => unpinOnce(gpu, bo, "importer"),
  };
}

/**
 * Puts the buffer into one of `wanted` and keeps it there until `pinCount` is 0 again. Linux: `amdgpu_bo_pin()`.
 * @throws DmaBufError `EPERM` a process's own pages · `EINVAL` it may be in none of them, or is pinned elsewhere · `ENOMEM` ·
 * `EBUSY` from inside the callback that tells of a move
 */
export function* pinIn(gpu: Gpu, bo: OwnedBo, wanted: readonly Wanted[], held: Held, stage: Stage): Op<void> {
  const no = (code: "EPERM" | "EINVAL", why: string): never => refuse(code, "amdgpu_bo_pin", stage, why);
  const domains = wanted.map((w) => w.domain);
  settled(gpu, bo, "amdgpu_bo_pin", stage);
  if (bo.userptr) no("EPERM", "these are a process's own pages: they are pinned by other means");
  if (!domains.some((d) => bo.allowed.includes(d)))
    no("EINVAL", `the buffer may be in ${bo.allowed.join(", ")} only: no domain is left to pin it in`);
  if (bo.pinCount === 0) yield* gpu.mover.validate(bo, wanted, held, stage);
  else if (!domains.some((d) => d === bo.place?.domain))
    no("EINVAL", `pinned in ${bo.place?.domain} already, wanted in ${domains.join(", ")}: unpin it first`);
  bo.pinCount++;
}

/** `domains`, where the window shows them. Without one, all of VRAM is as good. */
export function shownIn({ host }: Gpu, domains: readonly Domain[]): readonly Wanted[] {
  return domains.map((domain) => ({ domain, visible: host.window !== null }));
}

/** Undoes {@link pinIn}. One too many is a warning, and does nothing. Linux: `ttm_bo_unpin()`. */
export function unpinOnce({ fw }: Gpu, bo: OwnedBo, party: "exporter" | "importer"): void {
  if (bo.pinCount === 0) return fw.report("warn", "unpin", party, "nothing is pinned");
  bo.pinCount--;
}

function usable(gpu: Gpu, bo: OwnedBo, at: DmaBufAttachment, by: "address" | "frame"): readonly Wanted[] {
  const peer = at.peer2peer && bo.preferred === "vram";
  // The fabric shows all of VRAM, and so does an exporter that does not look at who asks.
  const visible = by === "frame" || !(overFabric(gpu, at) || gpu.options.checksImporter === false);
  const wanted: readonly Wanted[] = [...(peer ? [{ domain: "vram", visible } as const] : []), { domain: "gtt" }];
  return wanted.filter((w) => bo.allowed.includes(w.domain));
}

/**
 * Where the buffer may be pinned, the preferred domain first; RAM alone unless `vram`. As posted the preferred domain is
 * the only one, where it is possible at all.
 */
export function pinDomains({ options }: Gpu, { preferred, allowed }: OwnedBo, vram: boolean): readonly Domain[] {
  const domains = [preferred, ...allowed.filter((d) => d !== preferred)].filter((d) => d === "gtt" || vram);
  return options.asPosted ? domains.slice(0, 1) : domains;
}
