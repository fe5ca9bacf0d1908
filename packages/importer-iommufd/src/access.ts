/** A user in the kernel: it pins pages or copies bytes by IOVA, without a device. Linux: `struct iommufd_access`. */
import { DmaBufError, type ErrnoName, type MaySleep, type Op, PAGE_SIZE, perform, point } from "@dma-buf/core";
import { AccessPins, type Part, partOf, whilePinned } from "./access-pins.js";
import type { AreaPiece } from "./area-span.js";
import type { Area } from "./area.js";
import type { IommufdHost, PhysVec } from "./host.js";
import type { AccessUser, IoPagetable } from "./io-pagetable.js";
import type { Ioas } from "./ioas.js";
import { WHOLE } from "./intervals.js";
import type { ObjectTable } from "./objects.js";
import type { Piece } from "./pages.js";
import { hex64 } from "./u64.js";

/** What an access does for iommufd. */
export interface AccessOps {
  /** Will it pin? Then IOVAs are aligned to a page. @defaultValue false: it copies only */
  readonly needsPinPages?: boolean;
  /** Must give back every pin in the range before it returns, or soon after. */
  unmap?(iova: bigint, length: bigint): MaySleep<void>;
}

const OP = "iommufd access";

/**
 * One user of at most one IOAS at a time. All that is refused is refused at stage `map` and leaves nothing.
 * @example
 * const ioas = iommufd.createIoas();
 * const access = iommufd.createAccess();
 * yield* access.attach(ioas);
 * yield* ioas.map({ userVa: 0x4000_0000n, length: 4096n, flags: 7, iova: 0x10_0000n });
 * (yield* access.read(0x10_0ffen, 2)).length; // 2
 */
export class Access implements AccessUser {
  readonly alignment: number;
  readonly #ops: AccessOps;
  readonly #objects: ObjectTable;
  readonly #pins = new AccessPins();
  #ioas: Ioas | null = null;
  /** Is it being attached, replaced or detached? */
  #changes = false;

  constructor(ops: AccessOps, objects: ObjectTable) {
    this.#ops = ops;
    this.#objects = objects;
    this.alignment = ops.needsPinPages ? PAGE_SIZE : 1;
  }

  /** `null` also while it is detached or replaced: nothing new is pinned then, and pins are given back all the same. */
  get ioas(): Ioas | null {
    return this.#ioas;
  }

  /** @throws DmaBufError at stage `attach`: `EINVAL` it is attached · `EADDRINUSE` an area is not aligned as it needs */
  *attach(ioas: Ioas): Op<void> {
    if (this.#ioas) throw this.#refused("EINVAL", "is attached: replace, or detach first", "attach");
    yield* this.#change(null, ioas);
  }

  /** Into another IOAS: its pins in the old one go first. @throws DmaBufError as {@link attach}; it is attached to the old one then */
  *replace(ioas: Ioas): Op<void> {
    if (!this.#ioas && !this.#changes) throw this.#refused("ENOENT", "is not attached: attach it", "attach");
    if (this.#ioas !== ioas) yield* this.#change(this.#ioas, ioas);
  }

  /** Its pins go first. @throws DmaBufError `EINVAL` at stage `attach`: it is not attached */
  *detach(): Op<void> {
    if (!this.#ioas) throw this.#refused("EINVAL", "is not attached", "attach");
    yield* this.#change(this.#ioas, null);
  }

  *notifyUnmap(iova: bigint, length: bigint): Op<void> {
    yield* perform(this.#ops.unmap?.(iova, length));
  }

  /**
   * Pins pages: they stay until {@link unpinPages} with the same range, which {@link AccessOps.unmap} asks for.
   * @returns where they lie, in order
   * @throws DmaBufError `ENOENT` not attached, or a hole · `EINVAL` it does not pin, length 0, not page aligned, a dma-buf,
   * or an unmap waits for pins there · `EOVERFLOW` · `EPERM` to be written, and the backing is read-only · what keeps pages
   * from being pinned
   */
  *pinPages(iova: bigint, length: bigint, { write }: { readonly write: boolean }): Op<readonly PhysVec[]> {
    yield* point(IOVA_RWSEM);
    const { space } = this.#iopt();
    if (!this.#ops.needsPinPages) throw this.#refused("EINVAL", "said that it does not pin: say that it does");
    const parts = space.contiguous(iova, length, OP).map((piece) => this.#checked(piece, write, true));
    if ((length & 0xfffn) !== 0n) throw this.#refused("EINVAL", `pins ${length} bytes: pin whole pages`);
    return this.#pins.add(iova, length, parts);
  }

  /** Gives back what one {@link pinPages} of exactly this range pinned. @throws DmaBufError `EINVAL` none did */
  *unpinPages(iova: bigint, length: bigint): Op<void> {
    yield* point(IOVA_RWSEM);
    if (!this.#pins.remove(iova, length))
      throw this.#refused("EINVAL", `unpins ${hex64(length)} bytes at ${hex64(iova)}, which it did not pin as one`);
  }

  /** Reads bytes. @throws DmaBufError as {@link pinPages}, but for alignment */
  *read(iova: bigint, sizeBytes: number): Op<Uint8Array> {
    const out = new Uint8Array(sizeBytes);
    yield* this.#rw(iova, sizeBytes, false, ({ memory }, { physical, sizeBytes: length }, at) =>
      out.set(memory.read(physical, length), at),
    );
    return out;
  }

  /** Writes bytes. Pages before one that cannot be pinned are written. @throws DmaBufError as {@link pinPages}, but for alignment */
  *write(iova: bigint, bytes: Uint8Array): Op<void> {
    yield* this.#rw(iova, bytes.length, true, ({ memory }, { physical, sizeBytes }, at) =>
      memory.write(physical, bytes.subarray(at, at + sizeBytes)),
    );
  }

  *#rw(iova: bigint, sizeBytes: number, write: boolean, copy: Copy): Op<void> {
    yield* point(IOVA_RWSEM);
    const { space, world } = this.#iopt();
    let at = 0;
    for (const piece of space.contiguous(iova, BigInt(sizeBytes), OP))
      whilePinned(this.#checked(piece, write, false), (found) => {
        copy(world.host, found, at);
        at += found.sizeBytes;
      });
  }

  #checked(piece: AreaPiece<Area>, write: boolean, pins: boolean): Part {
    const { preventAccess, pages } = piece.area;
    const part = partOf(piece);
    if (preventAccess) throw this.#refused("EINVAL", "comes to an area that an unmap waits for");
    if (pins && part.offset % PAGE_SIZE !== 0) throw this.#refused("EINVAL", "pins from inside a page: begin with one");
    if (pages?.kind === "dma-buf")
      throw this.#refused("EINVAL", "comes to a dma-buf, which has no pages: use a device");
    if (write && !pages?.isWritable) throw this.#refused("EPERM", "writes to a read-only backing");
    return part;
  }

  /** In between it is attached nowhere, so that nobody pins anew. */
  *#change(from: Ioas | null, to: Ioas | null): Op<void> {
    if (this.#changes)
      throw this.#refused("EINVAL", "is being attached or detached by another: wait for that", "attach");
    using _to = to && this.#objects.hold(to);
    this.#changes = true;
    this.#ioas = null;
    let done = false;
    try {
      if (to) yield* to.iopt.addAccess(this);
      done = true;
      if (from) yield* this.notifyUnmap(WHOLE.iova, WHOLE.last);
      if (from) yield* from.iopt.removeAccess(this);
    } finally {
      this.#ioas = done ? to : from;
      this.#changes = false;
    }
  }

  #iopt(): IoPagetable {
    if (!this.#ioas) throw this.#refused("ENOENT", "is attached to no IOAS: attach it");
    return this.#ioas.iopt;
  }

  #refused(code: ErrnoName, what: string, stage: "map" | "attach" = "map"): DmaBufError {
    return new DmaBufError(code, { op: OP, stage, message: `the access ${what}` });
  }
}

const IOVA_RWSEM = "iommufd.iova_rwsem";

type Copy = (host: IommufdHost, piece: Piece, at: number) => void;
