/** Two tasks at one buffer, and a witness that reads the bytes. One page: more shows the same in more orders. */
import { DmaBufError, explore, type Op, Scheduler, seeded, type Strategy, type Task } from "@dma-buf/core";
import { referenceExporter } from "@dma-buf/conformance";
import type { GpuJob, GpuOptions } from "../index.js";
import { BAR, Light } from "./light.js";
import { does, finished, leave, read, type Seat, seated, VA, write } from "./rig.js";
import type { VariantId } from "./variants.js";

/** What was seen wrong in an order, by the words of the catalogue. */
export type Wrong = readonly string[];
/** Everything is set up, then two run against each other; `null`: not this time. */
export type Race = (scheduler: Scheduler, id: VariantId, importer: GpuOptions) => Wrong;

/** `120 orders` if those were all; `3000/` if there are more. With what was worst in them. */
export function search(race: Race, id: VariantId, importer: GpuOptions = {}, ordersMax = 20_000): [string, Wrong] {
  const found = explore((scheduler) => race(scheduler, id, importer), { ordersMax, badness: (w) => w.length });
  return [`${found.explored}${found.kind === "exhausted" ? "" : "/"}`, found.worst.result];
}

/** What is wrong in the first of some orders at random in which it matches; nothing, where it does in none. */
export function someWrong(race: Race, id: VariantId, importer: GpuOptions, what: RegExp): Wrong {
  for (let seed = 0; seed < 100; seed++) {
    const strategy = seeded(seed);
    strategy.begin();
    const wrong = race(new Scheduler(strategy), id, importer);
    if (wrong.some((w) => what.test(w))) return wrong;
  }
  return [];
}

/** `user` goes first as far as `site`, then all others, then `user`. */
export function passing(site: string): Scheduler {
  const strategy: Strategy = {
    complete: false,
    begin: () => true,
    pick(runnable) {
      const at = runnable.findIndex((task) => task.name === "user");
      const others = runnable.findIndex((task) => task.name !== "user");
      return runnable[at]?.wait?.site === site ? others : Math.max(0, at);
    },
    choices: () => [],
  };
  return new Scheduler(strategy);
}

/** Everything of one race over a BAR that was used once. */
class Scene {
  readonly wrong: string[] = [];
  readonly light: Light;
  readonly seat: Seat;
  /** What is asked when all is over. */
  later: () => Op<void> = function* () {};
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler, light: Light, buf: ReturnType<Light["bar"]>) {
    this.#scheduler = scheduler;
    this.light = light;
    this.seat = light.run(seated(light.gpu, buf));
    light.run(does(light.gpu, this.seat, write(1), read()));
  }

  say(what: string): void {
    this.wrong.push(what);
  }

  /** Lets all run against each other; who fails otherwise than by what is taken away is wrong. */
  race(ops: Readonly<Record<string, Op<void>>>): void {
    const tasks = Object.entries(ops).map(([name, op]) => this.#scheduler.spawn(name, op));
    const { kind } = this.#scheduler.run();
    if (kind !== "done") this.say(`HANG: ${kind}`);
    for (const task of tasks) if (!isRefused(task)) this.say(`${task.name}: ${String(task.error)}`);
  }

  /** Takes everything down, and says what is left. */
  end(buf: ReturnType<Light["bar"]>): Wrong {
    const { light } = this;
    light.run(this.later());
    light.run(leave(light.gpu, this.seat));
    light.run(light.fw.put(buf));
    return [...this.wrong, ...light.left()];
  }

  /** Queues a job that writes 2, outside of any task: it runs when the race begins. */
  queues(lists: boolean): GpuJob {
    const op = this.#submit(lists);
    let step = op.next();
    while (!step.done) step = op.next();
    return step.value;
  }

  /** Submits it in the race, and waits for its end. */
  *submits(lists: boolean): Op<void> {
    yield* this.ends(yield* this.#submit(lists), lists);
  }

  /** A listed job was let in: it does what it should. */
  *ends(job: GpuJob, lists: boolean): Op<void> {
    const [result] = yield* finished(job);
    if (lists && result?.kind !== "done") this.say(`CORRUPT: a job that was let in: ${result?.kind}`);
  }

  /** Submits a job that does nothing, and does not wait for it. */
  *submitsNothing(): Op<void> {
    const { vm, bo } = this.seat;
    (yield* this.light.gpu.submit({ vm, buffers: [{ bo }], commands: [] })).fence.put();
  }

  #submit(lists: boolean): Op<GpuJob> {
    const { vm, bo } = this.seat;
    return this.light.gpu.submit({ vm, buffers: lists ? [{ bo }] : [], commands: [write(2)] });
  }
}

function isRefused({ state, error }: Task): boolean {
  return state === "done" || (error instanceof DmaBufError && /ENODEV|EAGAIN/.test(error.code));
}

/** What is at it: set up before the race, and run in it. */
type User = (scene: Scene) => Op<void>;

/** The memory is taken away while `user` is at it: no byte changes after that, and nothing leads there. */
function revoked(user: User): Race {
  return (scheduler, id, importer) => {
    const light = new Light(scheduler, id, { importer });
    const buf = light.bar();
    const s = new Scene(scheduler, light, buf);
    const now = (): number | undefined => light.bytes.get(BAR);
    let left: number | undefined;
    const vmm = function* (): Op<void> {
      yield* light.vfio.revoke();
      left = now();
    };
    s.race({ user: user(s), vmm: vmm() });
    if (now() !== left) s.say("STALE: written after the revoke returned");
    light.bytes.set(BAR, 9);
    const late = scheduler.spawn("late", does(light.gpu, s.seat, read(0, 1)));
    scheduler.run();
    const [result] = late.result ?? [];
    if (result?.kind === "done" && result.bytes[0] === 9) s.say("STALE: read after the revoke");
    if (s.seat.vm.reaches(VA) !== null) s.say("STALE: the table or the TLB leads to what was revoked");
    light.run(light.vfio.restore());
    return s.end(buf);
  };
}

/** The buffer moves while `user` is at it, and is used afterwards: what was written last is where the buffer is. */
function moved(user: User, last: number): Race {
  return (scheduler, id, importer) => {
    const light = new Light(scheduler, id, { importer });
    const { bo, buf } = light.bo();
    const s = new Scene(scheduler, light, buf);
    s.race({ user: user(s), driver: light.exporter.move(bo, bo.place?.domain === "vram" ? "gtt" : "vram") });
    if (light.byteOf(bo) !== last) s.say(`CORRUPT: the buffer has ${light.byteOf(bo)} where ${last} was written`);
    const [seen] = light.run(does(light.gpu, s.seat, read(0, 1)));
    if (seen?.kind !== "done" || seen.bytes[0] !== last)
      s.say(`STALE: a job after the move reads ${JSON.stringify(seen)}`);
    light.exporter.close(bo);
    return s.end(buf);
  };
}

const queued =
  (lists: boolean): User =>
  (s) =>
    s.ends(s.queues(lists), lists);

/** What was mapped is let go first, so that it has to be mapped. */
const maps: User = (s) => {
  const { light, seat } = s;
  light.run(light.vfio.revoke());
  light.run(light.vfio.restore());
  return light.gpu.validate(seat.vm, [seat]);
};

/** The reference exporter, which has the fewest steps: then all orders can be tried. Its first byte is at `physical`. */
function reference(user: User, acts: "revoke" | "move"): Race {
  return (scheduler, id, importer) => {
    const light = new Light(scheduler, id, { importer, mapType: "bus-address" });
    const exporter = referenceExporter(light.fw);
    const s = new Scene(scheduler, light, exporter.buf);
    const old = exporter.physical;
    let left: number | undefined;
    const taking = function* (): Op<void> {
      yield* exporter[acts]();
      left = light.bytes.get(old);
    };
    s.race({ user: user(s), exporter: taking() });
    if (light.bytes.get(old) !== left) s.say(`STALE: written to the old place after the ${acts} returned`);
    if (s.seat.vm.reaches(VA) === old) s.say(`STALE: the table or the TLB leads to the old place`);
    exporter.restore();
    light.run(does(light.gpu, s.seat, write(5)));
    if (light.bytes.get(exporter.physical) !== 5) s.say("CORRUPT: a job afterwards writes elsewhere");
    return s.end(exporter.buf);
  };
}

/** A job that nobody waits for: a task less. Whether it did what it should is looked at when all is over. */
const alone =
  (lists: boolean): User =>
  (s) => {
    const job = s.queues(lists);
    s.later = () => s.ends(job, lists);
    return (function* () {})();
  };
const mapsAgain: User = (s) => s.light.gpu.validate(s.seat.vm, [s.seat]);

/** Where all orders can be tried. */
export const REFERENCE: Readonly<Record<string, Race>> = {
  "validate × revoke": reference(mapsAgain, "revoke"),
  "validate × move": reference(mapsAgain, "move"),
  "listed job × revoke": reference(alone(true), "revoke"),
  "unlisted job × revoke": reference(alone(false), "revoke"),
  "listed job × move": reference(alone(true), "move"),
};

/** Several ways at a buffer, each against what takes it away. */
export const REVOKE: Readonly<Record<string, Race>> = {
  map: revoked(maps),
  submit: revoked((s) => s.submitsNothing()),
  "listed job": revoked(queued(true)),
  "unlisted job": revoked(queued(false)),
  "submit a listed job": revoked((s) => s.submits(true)),
  "submit an unlisted job": revoked((s) => s.submits(false)),
};
/** Each against a move. */
export const MOVE: Readonly<Record<string, Race>> = {
  submit: moved((s) => s.submitsNothing(), 1),
  job: moved(queued(true), 2),
  "submit a job": moved((s) => s.submits(true), 2),
};

/** A job that does not list the buffer must not be queued behind a revoke whose callback passed its address space over. */
export const queuedLate: Race = (scheduler, id, importer) => {
  const light = new Light(scheduler, id, { importer, mapType: "bus-address" });
  const buf = light.bar();
  const s = new Scene(scheduler, light, buf);
  let isRevoked = false;
  const user = function* (): Op<void> {
    const { vm } = s.seat;
    const job = yield* light.gpu.submit({ vm, buffers: [], commands: [write(2)] });
    const late = isRevoked;
    yield* finished(job);
    if (late && light.bytes.get(BAR) === 2) s.say("STALE: a job that was queued after the revoke reached the BAR");
  };
  const vmm = function* (): Op<void> {
    yield* light.vfio.revoke();
    isRevoked = true;
  };
  s.race({ user: user(), vmm: vmm() });
  return s.end(buf);
};
