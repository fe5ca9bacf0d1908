/** A page of a memory file moves to another frame, when all who follow it have let go. */
import { type Op, PAGE_SIZE, until } from "@dma-buf/core";
import { type Folio, type Folios, type MemfdParts, refused } from "./memfd-folios.js";

/**
 * Makes its owner let go of a page that is to move. Sleeps. What it returns is disposed when the page has moved, or has
 * not after all; it throws what keeps the page where it is.
 */
export type LeavePage = (pgoff: number) => Op<Disposable>;

/** Who must let go before pages within `[offset, end)` move. */
export interface Follower {
  readonly offset: number;
  readonly end: number;
  readonly leave: LeavePage;
}

/** Linux: `migrate_pages()`. What it throws is said at `Memfd.migrate()`. */
export function* migratePage(
  parts: MemfdParts,
  folios: Folios,
  followers: Iterable<Follower>,
  pgoff: number,
): Op<void> {
  yield* until("memfd.compact", () => !parts.compacting);
  parts.compacting = true;
  try {
    const folio = movable(folios, pgoff);
    const first = folios.indexOf(pgoff * PAGE_SIZE) * folios.pageBytes;
    const using = [...followers].filter((f) => f.offset < first + folios.pageBytes && first < f.end);
    // Who follows several ranges with one function is asked once.
    yield* move(parts, folios, new Set(using.map((f) => f.leave)), folio, pgoff);
  } finally {
    parts.compacting = false;
  }
}

function* move(parts: MemfdParts, folios: Folios, owners: Iterable<LeavePage>, folio: Folio, pgoff: number): Op<void> {
  const { memory, frames } = parts;
  const { pageBytes } = folios;
  // Of the two frames, the one that the page is not in at the end: whatever happens, it is given back.
  let unused = frames.alloc(pageBytes);
  const gone: Disposable[] = [];
  try {
    for (const leave of owners) gone.push(yield* leave(pgoff));
    if (movable(folios, pgoff) !== folio)
      throw refused("EAGAIN", "migrate_pages", `page ${pgoff} was replaced meanwhile: try again`, "pin");
    memory.write(unused, memory.read(folio.physical, pageBytes));
    [folio.physical, unused] = [unused, folio.physical];
  } finally {
    frames.free(unused, pageBytes);
    for (const one of gone.toReversed()) one[Symbol.dispose]();
  }
}

function movable(folios: Folios, pgoff: number): Folio {
  const folio = folios.at(pgoff * PAGE_SIZE);
  if (!folio) throw refused("EINVAL", "migrate_pages", `there is no page ${pgoff}: touch it first`, "pin");
  if (folio.pins > 0)
    throw refused("EBUSY", "migrate_pages", `page ${pgoff} is pinned ${folio.pins} times: unpin it first`, "pin");
  return folio;
}
