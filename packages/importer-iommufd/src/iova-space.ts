/**
 * The address side of an IOAS: which IOVAs are mapped, which nobody may map, and where an automatic placement may go.
 * Nothing here sleeps or knows what backs an area. Linux 7.3: drivers/iommu/iommufd/io_pagetable.c.
 */
import { PAGE_SIZE, type Stage } from "@dma-buf/core";
import { type AreaPiece, type AreaSpan, firstToUnmap, piecesOf } from "./area-span.js";
import { DisjointRanges, type IovaRange, shownRange } from "./intervals.js";
import { IovaLimits } from "./iova-limits.js";
import { firstFit } from "./placement.js";
import { refuse } from "./refusal.js";
import { hex64, isAligned, isU64 } from "./u64.js";
import { lastOf, MAP } from "./validate.js";

/** What {@link IovaSpace.place} is asked for. */
export interface PlaceRequest {
  /** The IOVA that userspace wants; null: the kernel chooses. */
  readonly iova: bigint | null;
  /** Bytes. */
  readonly length: bigint;
  /** The user address, or the offset into the file: a chosen IOVA keeps its alignment and its place within a page. */
  readonly addressHint: bigint;
}

/**
 * The three sets of an IOAS, and its alignment. A method that throws has changed nothing.
 * @example
 * const { space } = iommufd.createIoas();
 * space.reserve(0xfee0_0000n, 0xfeef_ffffn, device);
 * space.ranges()[0]; // { iova: 0n, last: 0xfedf_ffffn }
 * space.place({ iova: null, length: 0x4000n, addressHint: 0n }); // 0x4000n
 * space.unreserve(device);
 */
export class IovaSpace<A extends AreaSpan> {
  readonly #areas = new DisjointRanges<A>();
  readonly #limits = new IovaLimits();
  #alignment = 1n;

  /** Bytes, a power of two: 1 until a domain, an access or an option wants more. */
  get alignment(): bigint {
    return this.#alignment;
  }

  /** How many areas there are. */
  get areaCount(): number {
    return this.#areas.size;
  }

  /** All areas, ascending: a copy. */
  get areas(): A[] {
    return [...this.#areas];
  }

  /**
   * Where an area goes. Reserves nothing: `insert()` in the same step. What is allowed binds only what the kernel chooses.
   * @throws DmaBufError at stage `map`, in this order: `EINVAL` length 0 or unaligned, IOVA unaligned · `EOVERFLOW` beyond
   * 64 bits · `EINVAL` reserved · `EEXIST` an area is there; to be chosen: `EOVERFLOW` half of 64 bits or more · `EINVAL` the
   * hint's alignment is below that of this IOAS · `ENOSPC`
   */
  place({ iova, length, addressHint }: PlaceRequest): bigint {
    lastOf(0n, length, MAP);
    this.#needAligned("length", length);
    if (iova !== null) return this.#checkFixed(iova, length);
    const { allowed: within, reserved } = this.#limits;
    return firstFit({ length, addressHint, alignment: this.#alignment, within, used: [reserved, this.#areas] });
  }

  /**
   * Occupies what `place()` answered.
   * @throws DmaBufError at stage `map`: `EINVAL` the backing's offset within its page is no multiple of the alignment
   */
  insert(area: A): void {
    this.#needAligned("offset within the page", BigInt(area.pageOffset));
    this.#areas.insert(area);
  }

  /** @returns false: it is not in this IOAS */
  remove(area: A): boolean {
    return this.#areas.remove(area);
  }

  /**
   * The range in pieces of areas that follow each other without a hole: what COPY duplicates and an access pins.
   * @throws DmaBufError at stage `map`: `EINVAL` length 0 · `EOVERFLOW` beyond 64 bits · `ENOENT` a hole, or an area that is
   * being filled or torn down
   */
  contiguous(iova: bigint, length: bigint, op = "IOMMU_IOAS_COPY"): AreaPiece<A>[] {
    return piecesOf(this.#areas, { iova, last: lastOf(iova, length, op) }, op);
  }

  /**
   * The next area that UNMAP takes away, or null: none is left. An unmap calls it, takes that area away, and calls it
   * again: what went before an error stays away, and others may come in between.
   * @throws DmaBufError at stage `map`: `EBUSY` it is being filled or torn down · `ENOENT` it is not inside
   * the range as a whole
   */
  nextToUnmap(range: IovaRange): A | null {
    return firstToUnmap(this.#areas, range);
  }

  /**
   * No area may be placed here until `unreserve(owner)`.
   * @throws DmaBufError at stage `attach`: `EINVAL` it ends before it begins, or beyond 64 bits · `EADDRINUSE` an area or an
   * allowed range is there
   */
  reserve(iova: bigint, last: bigint, owner: object): void {
    const range = { iova, last };
    if (!isU64(iova) || !isU64(last) || last < iova)
      refuse("EINVAL", ATTACH, `${shownRange(range)} is no range: give its first and its last byte`, range, "attach");
    const mapped = this.#areas.first(range);
    const what = mapped ? `the area at ${hex64(mapped.iova)}` : this.#limits.allowedIn(range) && "an allowed range";
    if (what)
      refuse("EADDRINUSE", ATTACH, `${what} is in the reserved ${shownRange(range)}: take it away`, range, "attach");
    this.#limits.reserve(range, owner);
  }

  /** Gives back all that `owner` reserved. */
  unreserve(owner: object): void {
    this.#limits.unreserve(owner);
  }

  /** What no owner reserved, ascending: IOMMU_IOAS_IOVA_RANGES. Areas and what is allowed play no part. */
  ranges(): IovaRange[] {
    return this.#limits.free();
  }

  /**
   * Where the kernel may choose from now on, in place of what was allowed before; none: everywhere.
   * @throws DmaBufError at stage `map`: `EINVAL` a range that ends where it begins or before, or intersects another ·
   * `EADDRINUSE` one that intersects what is reserved
   */
  allow(ranges: Iterable<IovaRange>): void {
    this.#limits.allow(ranges);
  }

  /**
   * Could the alignment become this? For who has more to do before it does.
   * @throws DmaBufError at stage `attach`: `EINVAL` more than a page · `EADDRINUSE` an area does not conform
   */
  checkAlignment(alignment: bigint, stage: Stage = "attach"): void {
    if (alignment > BigInt(PAGE_SIZE))
      refuse("EINVAL", ATTACH, `an alignment of ${hex64(alignment)} is more than a page`, { alignment }, stage);
    for (const { iova, last, pageOffset } of this.#areas)
      if (!isAligned(iova | (last + 1n - iova) | BigInt(pageOffset), alignment))
        refuse(
          "EADDRINUSE",
          ATTACH,
          `the area at ${hex64(iova)} is not aligned to ${hex64(alignment)}: unmap it first`,
          { iova, last, pageOffset, alignment },
          stage,
        );
  }

  /** Raises or lowers it. @throws as {@link checkAlignment} */
  setAlignment(alignment: bigint, stage: Stage = "attach"): void {
    this.checkAlignment(alignment, stage);
    this.#alignment = alignment;
  }

  /** Linux: `iopt_check_iova()`. */
  #checkFixed(iova: bigint, length: bigint): bigint {
    this.#needAligned("iova", iova);
    const range = { iova, last: lastOf(iova, length, MAP) };
    const reserved = this.#limits.reservedIn(range);
    const shown = shownRange(range);
    if (reserved)
      refuse("EINVAL", MAP, `${shown} intersects the reserved ${shownRange(reserved)}: go elsewhere`, range);
    const other = this.#areas.first(range);
    if (other) refuse("EEXIST", MAP, `${shown} intersects the area ${shownRange(other)}: unmap it first`, range);
    return iova;
  }

  #needAligned(name: string, value: bigint): void {
    if (!isAligned(value, this.#alignment))
      refuse("EINVAL", MAP, `${name} ${hex64(value)} is no multiple of ${hex64(this.#alignment)}: align it`, {
        [name]: value,
      });
  }
}

const ATTACH = "iommufd attach";
