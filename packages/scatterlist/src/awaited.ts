/** Waiting for somebody, by name: who never answers is named where the wait shows. */
import type { Op, Wait } from "@dma-buf/core";

/**
 * Runs `op`; what it waits for is told as a wait for `whom`. Whoever ends this ends `op`, where it stands.
 * @example
 * const four = yield* awaited("an answer of vfio", (function* () {
 *   yield* point("somewhere");
 *   return 4;
 * })()); // 4
 */
export function* awaited<T>(whom: string, op: Op<T>): Op<T> {
  const steps: Iterator<Wait, T, void> = {
    next: () => named(op.next()),
    throw: (error) => named(op.throw(error)),
    return: (value) => named(op.return(value as T)),
  };
  return yield* { [Symbol.iterator]: () => steps };

  function named(step: IteratorResult<Wait, T>): IteratorResult<Wait, T> {
    const { done, value: wait } = step;
    if (done || !wait?.ready) return step;
    const blockedOn = (): string => `${whom}, which waits for ${wait.blockedOn?.() ?? wait.site}`;
    return { done: false, value: { ...wait, blockedOn } };
  }
}
