/** A buffer's pages as the operations see them; and the ones that Linux has: pinned from birth to release. */
import type { DmaBuf, Framework, Held, MaySleep, Stage } from "@dma-buf/core";
import type { FolioRange, UdmabufHost } from "./host.js";
import { memfdOf, type UdmabufItem } from "./items.js";

/** What is out, of all buffers of one exporter: all zero when everybody gave back what they took. */
export interface UdmabufLedger {
  readonly buffers: number;
  /** Tables mapped for devices, `/dev/udmabuf` among them. */
  readonly tables: number;
  /** What keeps a movable buffer where it is: pins, and the kernel's mapping. */
  readonly pins: number;
}

/** One exporter, as its buffers see it. */
export interface World {
  readonly fw: Framework;
  readonly host: UdmabufHost;
  /** The code as it was merged. */
  readonly asPosted: boolean;
  readonly out: { -readonly [K in keyof UdmabufLedger]: UdmabufLedger[K] };
  /** Where the kernel allocates. @throws DmaBufError `ENOMEM` where that was told to fail */
  alloc(op: string, stage: Stage): void;
}

/** A buffer's pages. */
export interface Backing {
  readonly world: World;
  readonly isMovable: boolean;
  /** Where they are, neighbours merged: true until they move, and who is told is told before they do. */
  ranges(): readonly FolioRange[];
  /** Keeps them where they are, until {@link unpin}. */
  pin(): void;
  unpin(): void;
  /** What is to be done before they move, besides what importers do. Reservation held. */
  beforeMove: ((held: Held) => MaySleep<void>) | null;
  /** The buffer is gone, or was never made. */
  release(): void;
}

/** How pages are held for a buffer. */
export type Hold = (world: World, items: readonly UdmabufItem[], buf: () => DmaBuf) => Backing;

/**
 * Pinned, item by item; what was pinned before one that is refused is given back.
 * @throws DmaBufError `EBADFD`, `EINVAL` as {@link memfdOf}; `EINVAL` beyond the end of a file; `ENOMEM`
 */
export const pinned: Hold = (world, items) => {
  const folios = each(items, (item) => {
    const pin = memfdOf(world.host, item.memfd).pinFolios(item.offset, item.sizeBytes);
    return { ranges: pin.ranges, [Symbol.dispose]: () => pin.unpin() };
  });
  const ranges = merged(folios.flatMap((f) => f.ranges));
  return {
    world,
    isMovable: false,
    beforeMove: null,
    ranges: () => ranges,
    pin() {},
    unpin() {},
    release() {
      for (const one of folios) one[Symbol.dispose]();
    },
  };
};

/** Takes something of each item, or of none. */
export function each<T extends Disposable>(
  items: readonly UdmabufItem[],
  take: (item: UdmabufItem) => T,
): readonly T[] {
  const taken: T[] = [];
  try {
    for (const item of items) taken.push(take(item));
    return taken;
  } catch (error) {
    for (const one of taken) one[Symbol.dispose]();
    throw error;
  }
}

/** Ranges that touch become one, as when a scatter list is made from pages. */
export function merged(ranges: readonly FolioRange[]): readonly FolioRange[] {
  const out: { physical: FolioRange["physical"]; sizeBytes: number }[] = [];
  for (const { physical, sizeBytes } of ranges) {
    const last = out.at(-1);
    if (last && last.physical + last.sizeBytes === physical) last.sizeBytes += sizeBytes;
    else out.push({ physical, sizeBytes });
  }
  return out;
}
