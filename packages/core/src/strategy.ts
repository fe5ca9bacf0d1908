/**
 * Who goes next. A strategy is three small methods; replay and metrics are strategies around a strategy.
 * It is asked only where two or more tasks can run.
 */
import type { Task } from "./scheduler.js";

/** Answers who goes next. */
export interface Strategy {
  /** When {@link begin} answers `false`: were that all orders there are? */
  readonly complete: boolean;
  /** Starts the next run. `false`: there is none left to try. */
  begin(): boolean;
  /**
   * The index of the task to step. `runnable` has at least two, in order of arrival. `last` took the step before this
   * one, whether it was picked or alone; if it is among them, another choice preempts it. `null`: nobody has run yet.
   */
  pick(runnable: readonly Task[], last: Task | null): number;
  /** The choices of the run so far, for {@link replayToken}. */
  choices(): readonly number[];
}

/**
 * The task that was spawned first goes first: a run without preemption. One run.
 * @example
 * new Scheduler(arrivalOrder()).run(); // { kind: "done" }
 */
export function arrivalOrder(): Strategy {
  return chooser(() => 0);
}

/**
 * A permutation drawn from `seed`; the same seed gives the same run. One run.
 * @example
 * const scheduler = new Scheduler(seeded(7));
 */
export function seeded(seed: number): Strategy {
  let state = seed >>> 0;
  return chooser((width) => {
    // mulberry32: 32 bits of state, full period, good enough to permute tasks.
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % width;
  });
}

/**
 * The run that `token` records. @throws RangeError when the token is of another version or not a token.
 * @example
 * const strategy = replay("dbs1:0.1");
 * strategy.begin();
 * const scheduler = new Scheduler(strategy);
 */
export function replay(token: string): Strategy {
  const planned = parseToken(token);
  return chooser((width, at) => {
    const choice = planned[at] ?? 0;
    if (choice >= width)
      throw new RangeError(`replay token asks for task ${choice} of ${width} at choice ${at}: stale`);
    return choice;
  });
}

/**
 * Every order, depth first: each run differs from the one before in its last choice that still had another.
 * @example
 * const strategy = exhaustive();
 * strategy.begin(); // true
 */
export function exhaustive(): Strategy {
  const path: { choice: number; width: number }[] = [];
  let depth = 0;
  let started = false;
  return {
    complete: true,
    begin() {
      depth = 0;
      if (!started) return (started = true);
      for (let last = path.at(-1); last; last = path.at(-1)) {
        if (++last.choice < last.width) return true;
        path.pop();
      }
      return false;
    },
    pick(runnable) {
      const known = path[depth++];
      if (!known) path.push({ choice: 0, width: runnable.length });
      else if (known.width !== runnable.length) throw new Error("the system under test is not deterministic");
      return known?.choice ?? 0;
    },
    choices: () => path.slice(0, depth).map((p) => p.choice),
  };
}

const TOKEN_VERSION = "dbs1";

/**
 * A run as text: paste it into {@link replay}. Tail zeros are left out, they are what replay answers anyway.
 * @example
 * replayToken([0, 2, 1, 0]); // "dbs1:0.2.1"
 */
export function replayToken(choices: readonly number[]): string {
  const length = choices.findLastIndex((c) => c !== 0) + 1;
  return `${TOKEN_VERSION}:${choices.slice(0, length).join(".")}`;
}

function parseToken(token: string): number[] {
  const [version, body, ...rest] = token.split(":");
  if (version !== TOKEN_VERSION || body === undefined || rest.length > 0 || !/^(\d+(\.\d+)*)?$/.test(body))
    throw new RangeError(`not a replay token of version ${TOKEN_VERSION}: ${token}`);
  return body === "" ? [] : body.split(".").map(Number);
}

function chooser(choose: (width: number, at: number) => number): Strategy {
  const made: number[] = [];
  let started = false;
  return {
    complete: false,
    begin: () => !started && (started = true),
    pick(runnable) {
      const choice = choose(runnable.length, made.length);
      made.push(choice);
      return choice;
    },
    choices: () => made,
  };
}
