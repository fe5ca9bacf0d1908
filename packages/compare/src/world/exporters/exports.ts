/** What an exporter has exported, by the names that steps give it. A buffer's fd is closed once, whoever closes it first. */
import type { DmaBuf, Framework, Op } from "@dma-buf/core";
import { type Exported, NotApplicable } from "../actor.js";

export class Exports<E extends Exported> {
  readonly #framework: Pick<Framework, "put">;
  readonly #named = new Map<string, E>();
  readonly #open = new Map<DmaBuf, E>();

  constructor(framework: Pick<Framework, "put">) {
    this.#framework = framework;
  }

  /** `name` is this one's from now on; who had it before stays open. */
  add(name: string, exported: E): void {
    this.#named.set(name, exported);
    this.#open.set(exported.buf, exported);
  }

  /** @throws NotApplicable nothing was exported as `name` */
  named(name: string): E {
    const found = this.#named.get(name);
    if (found) return found;
    const names = [...this.#named.keys()].join(", ") || "nothing yet";
    throw new NotApplicable(`nothing is exported as ${name}: there is ${names}`);
  }

  /** Those whose fd is open. */
  get open(): readonly E[] {
    return [...this.#open.values()];
  }

  /** @returns whether the fd was open until now */
  *close({ buf }: E): Op<boolean> {
    if (!this.#open.delete(buf)) return false;
    yield* this.#framework.put(buf);
    return true;
  }
}
