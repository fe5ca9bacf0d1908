/** A page of a memory file moves to another frame, when all who follow it have let go. */
import { type Op, PAGE_SIZE, until } from "@dma-buf/core";
import { type Folio, type Folios, type MemfdParts, refused } from "./memfd-folios.js";

/** As often it is tried to get everybody off a page, as the kernel's `migrate_pages()` does. */
const TRIES = 10;

/** Who must let go of pages before they move. */
export interface PageFollower {
  /** Makes its owner let go, and holds nothing then. Sleeps; throws what keeps the page where it is. */
  leave(): Op<void>;
  /** Keeps everybody off until it is disposed; `null`: somebody is back, and must leave again. Does not sleep. */
  hold(): Disposable | null;
}

/** Pages `[offset, end)` and who follows them, bytes. */
export interface Following {
  readonly offset: number;
  readonly end: number;
  readonly follower: PageFollower;
}

/** Linux: `migrate_pages()`. What it throws is said at `Memfd.migrate()`. */
export function* migratePage(
  parts: MemfdParts,
  folios: Folios,
  followings: Iterable<Following>,
  pgoff: number,
): Op<void> {
  const free = (): boolean => parts.compacting === null;
  yield* until("memfd.compact", free, () => `the move of ${parts.compacting}`);
  parts.compacting = `page ${pgoff} of ${folios.name}`;
  try {
    const folio = movable(folios, pgoff);
    const first = folios.indexOf(pgoff * PAGE_SIZE) * folios.pageBytes;
    const using = [...followings].filter((f) => f.offset < first + folios.pageBytes && first < f.end);
    // Who follows several ranges is asked once.
    yield* move(parts, folios, new Set(using.map((f) => f.follower)), folio, pgoff);
  } finally {
    parts.compacting = null;
  }
}

function* move(
  { memory, frames }: MemfdParts,
  folios: Folios,
  followers: Iterable<PageFollower>,
  folio: Folio,
  pgoff: number,
): Op<void> {
  const { pageBytes } = folios;
  // Of the two frames, the one that the page is not in at the end: whatever happens, it is given back.
  let unused = frames.alloc(pageBytes);
  try {
    using _held = yield* holdAll(followers, pgoff);
    if (movable(folios, pgoff) !== folio)
      throw refused("EAGAIN", "migrate_pages", `page ${pgoff} was replaced meanwhile: try again`, "pin");
    memory.write(unused, memory.read(folio.physical, pageBytes));
    [folio.physical, unused] = [unused, folio.physical];
  } finally {
    frames.free(unused, pageBytes);
  }
}

/** All, or none: while one of them is held no other is waited for, since importers lock them in another order. */
function* holdAll(followers: Iterable<PageFollower>, pgoff: number): Op<Disposable> {
  for (let tries = 0; tries < TRIES; tries++) {
    for (const follower of followers) yield* follower.leave();
    const held = tryHoldAll(followers);
    if (held) return held;
  }
  throw refused("EAGAIN", "migrate_pages", `page ${pgoff} is asked for again each time: try later`, "pin");
}

function tryHoldAll(followers: Iterable<PageFollower>): Disposable | null {
  const held: Disposable[] = [];
  const giveBack = (): void => {
    for (const one of held) one[Symbol.dispose]();
  };
  for (const follower of followers) {
    const one = follower.hold();
    if (!one) {
      giveBack();
      return null;
    }
    held.push(one);
  }
  return { [Symbol.dispose]: giveBack };
}

function movable(folios: Folios, pgoff: number): Folio {
  const folio = folios.at(pgoff * PAGE_SIZE);
  if (!folio) throw refused("EINVAL", "migrate_pages", `there is no page ${pgoff}: touch it first`, "pin");
  if (folio.pins > 0)
    throw refused("EBUSY", "migrate_pages", `page ${pgoff} is pinned ${folio.pins} times: unpin it first`, "pin");
  return folio;
}
