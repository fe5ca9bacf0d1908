/** What the tests share: a world, and the kernel's mock fence. */
import { DmaFence, Env, type Op, Scheduler } from "@dma-buf/core";

const mock = { driverName: () => "mock", timelineName: () => "mock" };

export interface World {
  readonly scheduler: Scheduler;
  readonly env: Env;
  fence(context?: number, seqno?: number): DmaFence;
  complete<T>(op: Op<T>): T;
}

export function world(): World {
  const scheduler = new Scheduler();
  const env = new Env(scheduler, { trace: false });
  return {
    scheduler,
    env,
    fence: (context = env.allocContexts(1), seqno = 1) => new DmaFence(env, mock, context, seqno),
    complete: (op) => scheduler.complete("test", op),
  };
}

/** Sleeps until the modelled time `at`. */
export function* sleepUntil(at: number): Op<void> {
  yield { site: "timer", ready: () => false, deadline: at };
}
