/**
 * Pages that may move. Nobody posted this: it is what an exporter of RAM would have to do if it did not pin. Importers are
 * told, and nothing moves before they let go.
 */
import { type DmaBuf, type Op, perform, type ResvGuard, until, Usage } from "@dma-buf/core";
import { type Backing, each, type Hold, merged, type World } from "./backing.js";
import type { PageFollower } from "./host.js";
import { memfdOf } from "./items.js";
import { refuse } from "./refuse.js";

/** Followed, item by item. @throws DmaBufError as `pinned` */
export const movable: Hold = (world, items, buf) => {
  const state = { pins: 0, isTold: false };
  const follower: PageFollower = { leave: () => leave(backing, buf(), state), hold: () => hold(buf(), state) };
  const files = each(items, ({ memfd, offset, sizeBytes }) => {
    const file = memfdOf(world.host, memfd);
    const following = file.follow(offset, sizeBytes, follower);
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

/** Importers are told, and what the contract has a move wait for is waited for. @throws DmaBufError `EBUSY` pinned */
function* leave(backing: Backing, buf: DmaBuf, state: State): Op<void> {
  const { fw } = backing.world;
  // Its release is on its way: nobody uses it.
  if (buf.refs === 0) return;
  fw.get(buf);
  try {
    using held = yield* buf.resv.lock();
    if (state.pins > 0)
      refuse("EBUSY", "pin", `${buf.exporterName} is pinned ${state.pins} times: unpin it first`, { ...state });
    state.isTold = false;
    yield* fw.invalidate(buf, held);
    if (backing.beforeMove) yield* perform(backing.beforeMove(held));
    yield* letGo(backing.world, buf, held, state);
  } finally {
    yield* fw.fput(buf);
  }
}

/**
 * What the contract has a move wait for. `Framework.drain()` would also wait for who maps anew meanwhile, who was never told
 * to let go: as soon as somebody is told where the pages are, they are told again instead.
 */
function* letGo({ fw }: World, buf: DmaBuf, held: ResvGuard, state: State): Op<void> {
  const { drain } = fw.contract.policy;
  if (drain.includes("fences")) yield* buf.resv.waitTimeout(Usage.BOOKKEEP);
  held[Symbol.dispose]();
  if (!drain.includes("unmap")) return;
  const mapped = (): string[] => buf.attachments.flatMap((at) => (at.liveMaps > 0 ? [at.importerName] : []));
  const isOver = (): boolean => state.isTold || mapped().length === 0;
  yield* until("dma_buf.unmap", isOver, () => `unmap by ${mapped().join(", ")}`);
}

/** The reservation, if it is free and nobody was told anything since: while unmaps are waited for, others may ask. */
function hold(buf: DmaBuf, state: State): Disposable | null {
  if (buf.refs === 0) return { [Symbol.dispose]() {} };
  const held = buf.resv.tryLock();
  if (!held || (state.pins === 0 && !state.isTold)) return held;
  held[Symbol.dispose]();
  return null;
}

function count(world: World, state: State, change: number): void {
  state.pins += change;
  world.out.pins += change;
}
