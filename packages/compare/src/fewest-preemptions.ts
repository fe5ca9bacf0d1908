/** A search through the orders of a race by the number of preemptions: without any first, then with one, then with two. */
import type { Strategy, Task } from "@dma-buf/core";

/** Where a search ends before it has tried everything. */
export interface SearchBound {
  /** Orders with more preemptions are tried only while fewer than {@link enough} orders were. */
  readonly preemptionsMax: number;
  readonly enough: number;
  readonly ordersMax: number;
}

/** An order that waits for its turn: as `run` until `at`, where it takes `choice` instead. */
interface Branch {
  readonly run: readonly number[];
  readonly at: number;
  readonly choice: number;
}

/**
 * A preemption: a task that could have gone on has to let another go first. A task that waits or ends is none. Each order
 * is run once: beyond its branch nobody is preempted, and where somebody could have been, another branch is noted.
 */
export class FewestPreemptions implements Strategy {
  readonly #bound: SearchBound;
  /** By the number of their preemptions. Only ever added to; `#next` is the first of each that waits. */
  readonly #branches: Branch[][] = [[{ run: [], at: -1, choice: 0 }]];
  readonly #next: number[] = [0];
  #level = 0;
  #tried = 0;
  #isStopped = false;
  #branch: Branch | null = null;
  #choices: number[] = [];

  constructor(bound: SearchBound) {
    this.#bound = bound;
  }

  get complete(): boolean {
    return this.#branches.every((branches, level) => this.#nextOf(level) === branches.length);
  }

  /** What was tried, in words. */
  get bound(): string {
    const isCut = this.#nextOf(this.#level) < this.#waiting(this.#level) && this.#level <= this.#bound.preemptionsMax;
    const whole = isCut ? this.#level - 1 : Math.min(this.#level, this.#bound.preemptionsMax);
    if (whole < 0) return `the first ${this.#tried} orders`;
    const most = whole === 0 ? "no preemption" : `at most ${whole} preemption${whole === 1 ? "" : "s"}`;
    return isCut ? `${most}, and some orders with ${whole + 1}` : most;
  }

  /** Tries no more. */
  stop(): void {
    this.#isStopped = true;
  }

  begin(): boolean {
    while (this.#level < this.#branches.length && this.#nextOf(this.#level) === this.#waiting(this.#level))
      this.#level++;
    const { preemptionsMax, enough, ordersMax } = this.#bound;
    const isEnough =
      this.#isStopped || this.#tried >= ordersMax || (this.#level > preemptionsMax && this.#tried >= enough);
    if (isEnough || this.#level === this.#branches.length) return false;
    const at = this.#nextOf(this.#level);
    this.#branch = this.#branches[this.#level]?.[at] ?? null;
    this.#next[this.#level] = at + 1;
    this.#choices = [];
    this.#tried++;
    return true;
  }

  pick(runnable: readonly Task[], last: Task | null): number {
    const at = this.#choices.length;
    const { run, at: branchAt, choice } = this.#branch as Branch;
    const goesOn = last ? runnable.indexOf(last) : -1;
    const picked = at < branchAt ? (run[at] as number) : at === branchAt ? choice : Math.max(goesOn, 0);
    if (picked >= runnable.length) throw new Error("the run is not deterministic: fewer tasks than before can go on");
    if (at > branchAt) this.#note(runnable.length, picked, goesOn >= 0);
    this.#choices.push(picked);
    return picked;
  }

  choices(): readonly number[] {
    return this.#choices;
  }

  /** The other ways to go on from here wait for their turn. */
  #note(width: number, picked: number, isPreemption: boolean): void {
    const level = this.#level + Number(isPreemption);
    const branches = (this.#branches[level] ??= []);
    for (let choice = 0; choice < width; choice++)
      if (choice !== picked) branches.push({ run: this.#choices, at: this.#choices.length, choice });
  }

  #nextOf(level: number): number {
    return this.#next[level] ?? 0;
  }

  #waiting(level: number): number {
    return this.#branches[level]?.length ?? 0;
  }
}
