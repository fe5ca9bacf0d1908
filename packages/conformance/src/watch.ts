/** Who says that an importer's access came too late: it knows when the exporter had waited for all it must wait for. */
import type { Op } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { ImporterWorld } from "./importer-world.js";
import { checkNowhere, checkReach, checkTrue } from "./reached.js";
import type { Way } from "./world.js";

/** Watches one importer, which must say what it reaches. */
export class Watch {
  readonly #w: ImporterWorld;
  /** Where the buffer began when the importer could first look. */
  readonly #old: number;
  #taken: Way | null = null;
  /** One is enough: what comes behind it would say the same at each step. */
  #strayed = false;

  constructor(w: ImporterWorld) {
    this.#w = w;
    this.#old = w.exporter.physical;
  }

  /** Takes the memory away, as `way` has it, and waits as the contract says. What is pinned may stay. */
  *take(way: Way): Op<void> {
    const { exporter, fw } = this.#w;
    if (!(yield* accepted(exporter[way]()))) return;
    this.#taken = way;
    fw.trace.emit("event", () => `${way}() returned`);
  }

  /** One arrives behind each step. Until something is taken, it may reach the buffer wherever that is or was. */
  readonly access = (): void => {
    if (this.#taken) this.judge(`an access after ${this.#taken}() returned`);
  };

  judge(who: string): void {
    if (this.#strayed) return;
    const known = this.#w.fw.findings.length;
    this.#check(who);
    this.#strayed = this.#w.fw.findings.length > known;
  }

  #check(who: string): void {
    const why = `${who} is STALE: look again before installing, and have nothing in flight when the exporter goes on`;
    if (this.#taken === "revoke") return checkNowhere(this.#w, "invalidateMappings", why);
    if (this.#taken === "move") return checkTrue(this.#w, "invalidateMappings", why);
    const places = [this.#old, this.#w.exporter.physical];
    const rule = `${who} goes astray: that was never the buffer's`;
    checkReach(this.#w, "mapAttachment", rule, (place, offset) => places.some((first) => place === first + offset));
  }
}
