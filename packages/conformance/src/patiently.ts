/** An exporter's call, watched: what is not over when all is quiet hangs. */
import { type Op, type Task, until } from "@dma-buf/core";
import type { Way, World } from "./world.js";

/** Modelled ticks in which whoever can run has run: what is not over by then hangs. */
const PATIENCE_TICKS = 10_000;

/** A call that has begun. */
export interface Begun {
  readonly task: Task;
  over(): boolean;
  /** What it waits for, in its own words. */
  says(): string;
  /** Waits for its end. */
  join(): Op<void>;
}

/** Begins the call, and comes back when it is over or when all is quiet. `null`: the exporter has no such call. */
export function* patiently(
  {
    fw: { scheduler },
    exporter,
  }: Pick<World, "fw"> & { readonly exporter: { readonly [way in Way]?: () => Op<void> } },
  way: Way,
  watch: (op: Op<void>) => Op<unknown>,
): Op<Begun | null> {
  const op = exporter[way]?.();
  if (!op) return null;
  const task = scheduler.spawn("exporter", watch(op));
  const over = (): boolean => task.state !== "runnable";
  const call = (): string => `${way}()`;
  yield* until("kit.patience", over, call, scheduler.now + PATIENCE_TICKS);
  return {
    task,
    over,
    says: () => task.wait?.blockedOn?.() ?? "nothing",
    join: () => until("kit.join", over, call),
  };
}
