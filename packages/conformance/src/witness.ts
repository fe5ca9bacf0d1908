/** Who says that an access came too late: it knows when the owner gave the memory up. */
import { type DmaBuf, hex, type Op, point, type Run } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { Access } from "./importers/options.js";
import type { Recorder } from "./recorder.js";
import type { RecordingHost } from "./recording-host.js";
import { deviceOf, type ExporterWorld, importerFor, type Way } from "./world.js";

/** Watches one exporter and one buffer. */
export class Witness {
  readonly #w: ExporterWorld;
  readonly #buf: DmaBuf;
  #revoked = false;
  /** Where it lay before the move. */
  readonly #before = new Set<number>();
  /** Who was told an old place before this step must not use it any more. */
  #movedStep = 0;

  constructor(w: ExporterWorld, buf: DmaBuf) {
    this.#w = w;
    this.#buf = buf;
  }

  /** Takes the memory away, as `way` has it. What the exporter refuses is passed over. */
  *take(way: Way): Op<void> {
    const op = this.#w.exporter[way]?.();
    const pins = this.#pins();
    if (!op || !(yield* accepted(op))) return;
    this.#fw.trace.emit("event", () => `${way}() returned`);
    if (way === "revoke") yield* this.#gone();
    // What is pinned may stay: whether it did is another case.
    else if (pins + this.#pins() === 0) this.#movedStep = this.#fw.scheduler.steps;
  }

  /** Remembers where the buffer lies: a move must leave that. Nobody else may run meanwhile. */
  *look(): Op<void> {
    const importer = importerFor(this.#w);
    if (!(yield* accepted(importer.attach(this.#buf, deviceOf(this.#w))))) return;
    yield* accepted(importer.use());
    for (const run of importer.runs) this.#before.add(placeOf(this.#w.host, run) ?? -1);
    yield* importer.detach();
  }

  readonly arrived = ({ importer, run, lookedUpStep }: Access): void => {
    const { host } = this.#w;
    const place = placeOf(host, run);
    const where = place === null ? "nothing" : hex(place);
    this.#fw.trace.emit("access", () => `${importer} reaches ${where}, told at step ${lookedUpStep}`);
    const who = `an access of the ${importer} importer`;
    if (place === null)
      this.#fw.breach("mapDmaBuf", `FAULT: ${who} finds nothing mapped at ${hex(run.address)}, which is not unmapped`);
    else if (host.isFreed(place))
      this.#fw.breach("invalidate", `STALE: ${who} reaches ${where}, which was freed: invalidate and wait before`);
    else if (this.#revoked)
      this.#fw.breach(
        "invalidate",
        `STALE: ${who} reaches ${where} after revoke() returned: wait for what is in flight`,
      );
    else if (lookedUpStep < this.#movedStep && this.#before.has(place))
      this.#fw.breach("invalidate", `STALE: ${who} reaches ${where} after move() returned: wait for what is in flight`);
  };

  get #fw(): Recorder {
    return this.#w.fw;
  }

  /** Until it is restored, nobody may reach the memory. */
  *#gone(): Op<void> {
    this.#revoked = true;
    yield* point("exporter.revoked");
    this.#revoked = false;
    const { exporter } = this.#w;
    if (exporter.restore) yield* exporter.restore();
  }

  #pins(): number {
    return this.#buf.attachments.reduce((sum, at) => sum + at.pins, 0);
  }
}

/** Where an access to `run` ends; `null`: it faults. */
export function placeOf(host: RecordingHost, { kind, address }: Run): number | null {
  return kind === "dma" || kind === "iova" ? host.place(address) : address;
}
