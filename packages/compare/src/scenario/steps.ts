/** Steps, by the actors that a scenario has: `- nic: { write: { offset: 4 KiB } }`. */
import * as v from "valibot";
import { check } from "./check.js";
import type { Step } from "./scenario.js";
import type { Path, SourceMap } from "./source-map.js";

/** What an actor can be told, by name, with the schema of what is said besides. */
export type Actions = Readonly<Record<string, v.GenericSchema>>;

/** Reads steps for the actors of one scenario. */
export class StepReader {
  readonly #source: SourceMap;
  readonly #actors: ReadonlyMap<string, Actions>;

  constructor(source: SourceMap, actors: ReadonlyMap<string, Actions>) {
    this.#source = source;
    this.#actors = actors;
  }

  list(path: Path, items: readonly unknown[]): readonly Step[] {
    return items.map((item, i) => this.#step([...path, i], item));
  }

  #step(path: Path, item: unknown): Step {
    const [name, rest] = this.#only(path, item, "a step is a map of one actor, race or answer");
    const at = [...path, name];
    if (name === "race") return this.#race(at, rest);
    if (name !== "answer") return this.#act(at, name, rest, false);
    const [actor, action] = this.#only(at, rest, "answer is a map of one actor: the step whose refusal is the verdict");
    return this.#act([...at, actor], actor, action, true);
  }

  #race(path: Path, value: unknown): Step {
    const tasks = check(this.#source, path, v.record(v.string(), v.array(v.unknown())), value);
    if (Object.keys(tasks).length < 2)
      throw this.#source.error(path, "must have two tasks or more, each a list of steps");
    const read = Object.entries(tasks).map(([task, steps]) => [task, this.list([...path, task], steps)] as const);
    return { do: "race", tasks: Object.fromEntries(read), at: this.#source.position(path) };
  }

  #act(path: Path, actor: string, value: unknown, isAnswer: boolean): Step {
    const actions = this.#actors.get(actor);
    if (!actions)
      throw this.#source.error(
        path,
        `there is no actor of that name: choose from ${[...this.#actors.keys()].join(", ")}`,
      );
    const [action, args] =
      typeof value === "string"
        ? [value, {}]
        : this.#only(path, value, "an action by its name, or a map of one action");
    const schema = Object.hasOwn(actions, action) ? actions[action] : undefined;
    if (!schema)
      throw this.#source.error(path, `${actor} cannot ${action}: choose from ${Object.keys(actions).join(", ")}`);
    const at = typeof value === "string" ? path : [...path, action];
    return {
      do: "act",
      actor,
      action,
      args: check(this.#source, at, schema, args),
      isAnswer,
      at: this.#source.position(path),
    };
  }

  /** The one entry of a map. */
  #only(path: Path, value: unknown, rule: string): [string, unknown] {
    const entries = typeof value === "object" && value !== null && !Array.isArray(value) ? Object.entries(value) : [];
    if (entries.length !== 1) throw this.#source.error(path, `${rule}, is ${JSON.stringify(value)}`);
    return entries[0] as [string, unknown];
  }
}
