/** Everything of one race over a buffer that was used once. */
import { type DmaBuf, DmaBufError, type Op, type Task } from "@dma-buf/core";
import type { Command, GpuJob } from "../index.js";
import { does, finished, leave, read, type Seat, seated, write } from "./rig.js";
import type { Arena, Wrong } from "./search.js";
import type { World } from "./world.js";

export class Scene {
  readonly wrong: string[] = [];
  readonly world: World;
  readonly seat: Seat;
  /** What is asked when all is over. */
  later: () => Op<void> = function* () {};
  readonly #arena: Arena;
  readonly #buf: DmaBuf;

  constructor(arena: Arena, world: World, buf: DmaBuf) {
    this.#arena = arena;
    this.world = world;
    this.#buf = buf;
    this.seat = world.run(seated(world.gpu, buf));
    world.run(does(world.gpu, this.seat, write(1), read()));
  }

  say(what: string): void {
    this.wrong.push(what);
  }

  /** Lets all run against each other; who fails otherwise than by what is taken away is wrong. */
  race(ops: Readonly<Record<string, Op<void> | null>>): void {
    const { scheduler } = this.#arena;
    const tasks = Object.entries(ops).flatMap(([name, op]) => (op ? [scheduler.spawn(name, op)] : []));
    this.#arena.racing = true;
    const { kind } = scheduler.run();
    this.#arena.racing = false;
    if (kind !== "done") this.say(`HANG: ${kind}`);
    for (const task of tasks) if (!isRefused(task)) this.say(`${task.name}: ${String(task.error)}`);
  }

  /** Takes everything down, and says what is left. */
  end(): Wrong {
    const { world } = this;
    world.run(this.later());
    world.run(leave(world.gpu, this.seat));
    world.run(world.fw.put(this.#buf));
    return [...this.wrong, ...world.left()];
  }

  /** Queues a job that writes 2, outside of any task: it runs in the race, and is looked at when all is over. */
  queues(lists: boolean, ...first: Command[]): void {
    const op = this.#submit(lists, first);
    let step = op.next();
    while (!step.done) step = op.next();
    const job = step.value;
    this.later = () => this.ends(job, lists);
  }

  /** Submits it in the race, and leaves it to itself. */
  *submits(lists: boolean): Op<void> {
    const job = yield* this.#submit(lists, []);
    this.later = () => this.ends(job, lists);
  }

  /** A listed job that was let in does what it should. */
  *ends(job: GpuJob, lists: boolean): Op<void> {
    const results = yield* finished(job);
    if (lists && results.some(({ kind }) => kind !== "done"))
      this.say(`CORRUPT: a job that was let in: ${results.map(({ kind }) => kind).join()}`);
  }

  #submit(lists: boolean, first: readonly Command[]): Op<GpuJob> {
    const { vm, bo } = this.seat;
    return this.world.gpu.submit({ vm, buffers: lists ? [{ bo }] : [], commands: [...first, write(2)] });
  }
}

function isRefused({ state, error }: Task): boolean {
  return state === "done" || (error instanceof DmaBufError && /ENODEV|EAGAIN/.test(error.code));
}
