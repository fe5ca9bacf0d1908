/** A user in the kernel: it pins pages or copies bytes by IOVA, without a device. Linux: `struct iommufd_access`. */
import { DmaBufError, type ErrnoName, type MaySleep, type Op, PAGE_SIZE, perform } from "@dma-buf/core";
import type { PhysVec } from "@dma-buf/scatterlist";
import type { Area } from "./area.js";
import type { AccessUser, IoPagetable } from "./io-pagetable.js";
import type { Ioas } from "./ioas.js";
import { WHOLE } from "./intervals.js";
import type { Pages, Piece } from "./pages.js";
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
  #ioas: Ioas | null = null;

  constructor(ops: AccessOps) {
    this.#ops = ops;
    this.alignment = ops.needsPinPages ? PAGE_SIZE : 1;
  }

  get ioas(): Ioas | null {
    return this.#ioas;
  }

  /** @throws DmaBufError at stage `attach`: `EINVAL` it is attached · `EADDRINUSE` an area is not aligned as it needs */
  *attach(ioas: Ioas): Op<void> {
    if (this.#ioas) throw this.#refused("EINVAL", "is attached: replace, or detach first", "attach");
    yield* ioas.iopt.addAccess(this);
    this.#ioas = ioas;
  }

  /** Into another IOAS: its pins in the old one go first. @throws DmaBufError as {@link attach}; it is attached to the old one then */
  *replace(ioas: Ioas): Op<void> {
    const old = this.#ioas;
    if (!old) throw this.#refused("ENOENT", "is not attached: attach it", "attach");
    if (old === ioas) return;
    yield* ioas.iopt.addAccess(this);
    yield* this.#leave(old);
    this.#ioas = ioas;
  }

  /** Its pins go first. @throws DmaBufError `EINVAL` at stage `attach`: it is not attached */
  *detach(): Op<void> {
    if (!this.#ioas) throw this.#refused("EINVAL", "is not attached", "attach");
    yield* this.#leave(this.#ioas);
    this.#ioas = null;
  }

  *notifyUnmap(iova: bigint, length: bigint): Op<void> {
    yield* perform(this.#ops.unmap?.(iova, length));
  }

  /**
   * Pins pages: they stay until {@link unpinPages} with the same range, which {@link AccessOps.unmap} asks for.
   * @returns where they lie, in order
   * @throws DmaBufError `ENOENT` not attached, or a hole · `EINVAL` it does not pin, length 0, not page aligned, a dma-buf,
   * or an unmap waits for pins there · `EOVERFLOW` · `EPERM` to be written, and the area is read-only · what keeps pages
   * from being pinned
   */
  *pinPages(iova: bigint, length: bigint, { write }: { readonly write: boolean }): Op<readonly PhysVec[]> {
    const iopt = this.#iopt();
    if (!this.#ops.needsPinPages) throw this.#refused("EINVAL", "said that it does not pin: say that it does");
    const pieces = iopt.space.contiguous(iova, length, OP);
    for (const { area, skipBytes } of pieces) this.#check(area, write, area.offset + skipBytes);
    if ((length & 0xfffn) !== 0n) throw this.#refused("EINVAL", `pins ${length} bytes: pin whole pages`);
    const found: PhysVec[] = [];
    const taken: Part[] = [];
    let done = false;
    try {
      for (const piece of pieces) {
        const part = partOf(piece);
        found.push(...(yield* take(part)));
        taken.push(part);
      }
      done = true;
      return found;
    } finally {
      if (!done) for (const part of taken) yield* give(part);
    }
  }

  /** Gives back what {@link pinPages} pinned with the same range. @throws DmaBufError `ENOENT` nothing is mapped there · `EINVAL` not pinned */
  *unpinPages(iova: bigint, length: bigint): Op<void> {
    const pieces = this.#iopt().space.contiguous(iova, length, OP);
    if (pieces.some(({ area }) => area.accesses === 0))
      throw this.#refused("EINVAL", `unpins ${hex64(iova)}, which is not pinned`);
    for (const piece of pieces) yield* give(partOf(piece));
  }

  /** Reads bytes. @throws DmaBufError as {@link pinPages}, but for alignment */
  *read(iova: bigint, sizeBytes: number): Op<Uint8Array> {
    const out = new Uint8Array(sizeBytes);
    const { memory } = this.#iopt().world.host;
    yield* this.#rw(iova, sizeBytes, false, ({ physical, sizeBytes: length }, at) =>
      out.set(memory.read(physical, length), at),
    );
    return out;
  }

  /** Writes bytes. @throws DmaBufError as {@link pinPages}, but for alignment */
  *write(iova: bigint, bytes: Uint8Array): Op<void> {
    const { memory } = this.#iopt().world.host;
    yield* this.#rw(iova, bytes.length, true, ({ physical, sizeBytes }, at) =>
      memory.write(physical, bytes.subarray(at, at + sizeBytes)),
    );
  }

  *#rw(iova: bigint, sizeBytes: number, write: boolean, copy: (piece: Piece, at: number) => void): Op<void> {
    let at = 0;
    for (const piece of this.#iopt().space.contiguous(iova, BigInt(sizeBytes), OP)) {
      this.#check(piece.area, write, 0n);
      const part = partOf(piece);
      for (const found of yield* take(part)) {
        copy(found, at);
        at += found.sizeBytes;
      }
      yield* give(part);
    }
  }

  #check(area: Area, write: boolean, offset: bigint): void {
    if (area.preventAccess) throw this.#refused("EINVAL", "comes to an area that an unmap waits for");
    if (area.pages?.kind === "dma-buf")
      throw this.#refused("EINVAL", "comes to a dma-buf, which has no pages: use a device");
    if (write && !area.permissions.write) throw this.#refused("EPERM", "writes to a read-only area");
    if (this.#ops.needsPinPages && (offset & 0xfffn) !== 0n)
      throw this.#refused("EINVAL", "pins from inside a page: begin with one");
  }

  *#leave(old: Ioas): Op<void> {
    yield* this.notifyUnmap(WHOLE.iova, WHOLE.last);
    yield* old.iopt.removeAccess(this);
  }

  #iopt(): IoPagetable {
    if (!this.#ioas) throw this.#refused("ENOENT", "is attached to no IOAS: attach it");
    return this.#ioas.iopt;
  }

  #refused(code: ErrnoName, what: string, stage: "map" | "attach" = "map"): DmaBufError {
    return new DmaBufError(code, { op: OP, stage, message: `the access ${what}` });
  }
}

interface Part {
  readonly area: Area;
  readonly offset: number;
  readonly sizeBytes: number;
}

function partOf(piece: { area: Area; iova: bigint; last: bigint; skipBytes: bigint }): Part {
  const { area, iova, last, skipBytes } = piece;
  return { area, offset: Number(area.offset + skipBytes), sizeBytes: Number(last - iova + 1n) };
}

/** The area cannot go from here to {@link give}. */
function* take({ area, offset, sizeBytes }: Part): Op<readonly Piece[]> {
  const pages = area.pages as Pages;
  area.accesses++;
  let done = false;
  try {
    using _mutex = yield* pages.mutex.write();
    const pieces = pages.pin(offset, sizeBytes) ?? [];
    done = true;
    return pieces;
  } finally {
    if (!done) area.accesses--;
  }
}

function* give({ area, offset, sizeBytes }: Part): Op<void> {
  const pages = area.pages as Pages;
  using _mutex = yield* pages.mutex.write();
  pages.unpin(offset, sizeBytes);
  area.accesses--;
}
