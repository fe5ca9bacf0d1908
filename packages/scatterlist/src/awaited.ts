/** Waiting for somebody, by name: who never answers is named where the wait shows. */
import type { Op, Wait } from "@dma-buf/core";

/**
 * Runs `op`; what it waits for is told as a wait for `whom`. Ended in between, `op` runs its `finally`.
 * @example
 * const four = yield* awaited("an answer of vfio", (function* () {
 *   yield* point("somewhere");
 *   return 4;
 * })()); // 4
 */
export function* awaited<T>(whom: string, op: Op<T>): Op<T> {
  let step = op.next();
  try {
    while (!step.done) {
      yield named(step.value);
      step = op.next();
    }
    return step.value;
  } finally {
    if (!step.done) yield* ended(op);
  }

  function named(wait: Wait): Wait {
    if (!wait?.ready) return wait;
    return { ...wait, blockedOn: () => `${whom}, which waits for ${wait.blockedOn?.() ?? wait.site}` };
  }
}

function* ended(op: Op<unknown>): Op<void> {
  for (let step = op.return(undefined); !step.done; step = op.next()) yield step.value;
}
