/** Who says that an access came too late: it knows when the owner gave the memory up. */
import { type DmaBuf, hex, type Op, point, type Run } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import type { Access } from "./importers/class-importer.js";
import type { Recorder } from "./recorder.js";
import type { RecordingHost } from "./recording-host.js";
import type { ExporterUnderTest } from "./subject.js";
import type { ExporterWorld } from "./world.js";

/** Watches one exporter and one buffer. */
export class Witness {
  readonly #fw: Recorder;
  readonly #host: RecordingHost;
  readonly #exporter: ExporterUnderTest;
  readonly #buf: DmaBuf;
  #revoked = false;
  /** What was told before this step leads to a place that was left. */
  #movedStep = 0;
  /** One is enough: what follows is the same. */
  #told = false;

  constructor({ fw, host, exporter }: ExporterWorld, buf: DmaBuf) {
    this.#fw = fw;
    this.#host = host;
    this.#exporter = exporter;
    this.#buf = buf;
  }

  /** Revokes and gives back. Between the two nobody may reach the memory. */
  *revoke(): Op<void> {
    const { revoke, restore } = this.#exporter;
    if (!revoke || !restore || !(yield* accepted(revoke.call(this.#exporter)))) return;
    this.#revoked = true;
    yield* point("exporter.revoked");
    this.#revoked = false;
    yield* restore.call(this.#exporter);
  }

  /** Moves. What is pinned may stay: whether it did is another case. */
  *move(): Op<void> {
    const begun = this.#fw.scheduler.steps;
    const pins = this.#pins();
    const { move } = this.#exporter;
    if (!move || !(yield* accepted(move.call(this.#exporter))) || pins + this.#pins() > 0) return;
    this.#movedStep = Math.max(begun, this.#fw.invalidatedStep);
  }

  readonly arrived = ({ importer, run, lookedUpStep }: Access): void => {
    const place = placeOf(this.#host, run);
    const stale = this.#revoked || lookedUpStep < this.#movedStep;
    if (this.#told || !(stale || place === null)) return;
    this.#told = true;
    const who = `an access of the ${importer} importer`;
    if (place === null)
      return this.#fw.breach(
        "mapDmaBuf",
        `FAULT: ${who} finds nothing mapped at ${hex(run.address)}, which is not unmapped`,
      );
    const how = this.#revoked ? "revoke()" : "move()";
    this.#fw.breach(
      "invalidate",
      `STALE: ${who} reaches ${hex(place)} after ${how} returned: wait for what is in flight`,
    );
  };

  #pins(): number {
    return this.#buf.attachments.reduce((sum, at) => sum + at.pins, 0);
  }
}

/** Where an access to `run` ends; `null`: it faults. */
export function placeOf(host: RecordingHost, { kind, address }: Run): number | null {
  return kind === "dma" || kind === "iova" ? host.place(address) : address;
}
