/** Who waits for a buffer to become readable or writable. */
import { type DmaBuf, DmaBufError, type DmaFence, type FenceCallback, type Framework, usageRw } from "@dma-buf/core";

/** `in`: may be read, `EPOLLIN`. `out`: may be written, `EPOLLOUT`. */
export type PollDirection = "in" | "out";

/** The fence that a direction waits for; absent: it is not armed. */
type Armed = Partial<Record<PollDirection, DmaFence>>;

// One a buffer, whatever process polls: what belongs to a buffer is found by it, and goes with it.
const armedOf = new WeakMap<DmaBuf, Armed>();

/**
 * Is there something to wait for? Then `wake` is called once it is over, and until then the buffer has one more
 * reference, however many poll. Call with the reservation held.
 */
export function armPoll(framework: Framework, buf: DmaBuf, direction: PollDirection, wake: () => void): boolean {
  const armed = armedOf.get(buf) ?? {};
  armedOf.set(buf, armed);
  const fence = armed[direction] ?? firstThatTakes(buf, direction, { run: disarm });
  if (!fence) return false;
  if (!armed[direction]) framework.get(buf);
  armed[direction] = fence;
  fence.addCallback({ run: wake });
  return true;

  function disarm(): void {
    delete armed[direction];
    // The last reference may sleep; a fence's callback must not.
    framework.scheduler.spawn("fput", framework.fput(buf));
  }
}

/** The first fence that must still be waited for, with `callback` on it. */
function firstThatTakes(buf: DmaBuf, direction: PollDirection, callback: FenceCallback): DmaFence | null {
  const cursor = buf.resv.forEachUnlocked(usageRw(direction === "out"));
  for (let slot = cursor.next(); slot; slot = cursor.next()) if (accepts(slot.fence, callback)) return slot.fence;
  return null;
}

/** A fence that has signalled takes no callback: then the next one is asked. */
function accepts(fence: DmaFence, callback: FenceCallback): boolean {
  try {
    fence.addCallback(callback);
    return true;
  } catch (error) {
    if (error instanceof DmaBufError && error.code === "ENOENT") return false;
    throw error;
  }
}
