/**
 * Pages that may move. Nobody posted this: it is what an exporter of RAM would have to do if it did not pin. Importers are
 * told, and nothing moves before they let go.
 */
import { type DmaBuf, type Op, perform } from "@dma-buf/core";
import { type Backing, each, type Hold, merged, type World } from "./backing.js";
import { memfdOf } from "./items.js";
import { refuse } from "./refuse.js";

/** As often it is tried to get everybody off a page, as the kernel's `migrate_pages()` does. */
const TRIES = 10;

/** Followed, item by item. @throws DmaBufError as `pinned` */
export const movable: Hold = (world, items, buf) => {
  const state = { pins: 0, isTold: false };
  const off = (): Op<Disposable> => leave(backing, buf(), state);
  const files = each(items, ({ memfd, offset, sizeBytes }) => {
    const file = memfdOf(world.host, memfd);
    const following = file.follow(offset, sizeBytes, off);
    return { ranges: () => file.ranges(offset, sizeBytes), [Symbol.dispose]: () => following[Symbol.dispose]() };
  });
  const backing: Backing = {
    world,
    isMovable: true,
    beforeMove: null,
    ranges() {
      state.isTold = true;
      return merged(files.flatMap((file) => file.ranges()));
    },
    pin: () => count(world, state, 1),
    unpin: () => count(world, state, -1),
    release() {
      for (const file of files) file[Symbol.dispose]();
    },
  };
  return backing;
};

interface State {
  pins: number;
  /** Was somebody told where the pages are, since importers were told to let go? */
  isTold: boolean;
}

/**
 * Gets everybody off the pages, and comes back with the reservation held: until it is disposed nobody is told anything.
 * While unmaps are waited for the lock is free, and who asks then is told the old place: so it is looked at again.
 * @throws DmaBufError `EBUSY` pinned · `EAGAIN` somebody asks again each time
 */
function* leave(backing: Backing, buf: DmaBuf, state: State): Op<Disposable> {
  const { fw } = backing.world;
  // Its release is on its way: nobody uses it.
  if (buf.refs === 0) return { [Symbol.dispose]() {} };
  fw.get(buf);
  try {
    for (let tries = 0; tries < TRIES; tries++) {
      yield* tell(backing, buf, state);
      const held = yield* buf.resv.lock();
      if (state.pins === 0 && !state.isTold) return held;
      held[Symbol.dispose]();
    }
    return refuse("EAGAIN", "pin", `${buf.exporterName} is asked for again each time it lets go: try later`);
  } finally {
    yield* fw.fput(buf);
  }
}

/** Once: importers are told, and what the contract has a move wait for is waited for. */
function* tell(backing: Backing, buf: DmaBuf, state: State): Op<void> {
  const { fw } = backing.world;
  using held = yield* buf.resv.lock();
  if (state.pins > 0)
    refuse("EBUSY", "pin", `${buf.exporterName} is pinned ${state.pins} times: unpin it first`, { ...state });
  state.isTold = false;
  yield* fw.invalidate(buf, held);
  if (backing.beforeMove) yield* perform(backing.beforeMove(held));
  yield* fw.drain(buf, held);
}

function count(world: World, state: State, change: number): void {
  state.pins += change;
  world.out.pins += change;
}
