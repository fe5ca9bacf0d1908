/**
 * A contract's window that does not believe the exporter. What an importer writes into a page table is walked by
 * hardware: an answer that cannot be true must not get there.
 */
import {
  BugSignal,
  type CallName,
  type Direction,
  type DmaBufAttachment,
  DmaBufError,
  EndSignal,
  type Framework,
  type Held,
  type Op,
  type Run,
  type Window,
} from "@dma-buf/core";
import { whyNot, whyNotAsked } from "./answer.js";
import { awaited } from "./awaited.js";
import { Told } from "./told.js";

/** How often an exporter may tell to stop while it answers. */
const TRIES = 3;

/**
 * Opens the contract's window on an attachment and checks what comes through it: runs ascend, touch, cover what was asked
 * for, lie inside the buffer, and say of a byte what they said before, until {@link Window.drop}. A lie is a finding
 * against the exporter, and refused; so is what it throws and is no refusal. A mapping of which nothing is in use goes
 * back with the refusal. Who never answers is named where the wait shows. May sleep; the reservation must not be held.
 *
 * Where the window is called with the reservation held, only the exporter itself can tell the importer to stop meanwhile:
 * it moves, and is asked again. Where it is called without, an answer that a drop overtook is not checked against earlier
 * ones: the importer's own retry throws it away. Frames that come out of a CPU mapping are not compared with earlier
 * ones at all: the mapping changes before its notifier is called.
 * @throws DmaBufError what `framework.open()` refuses with. `runs()` adds `EINVAL`: what the exporter says cannot be true,
 * and RangeError: the importer asks for what is not in the buffer's pages. The runs are copies, the importer's own.
 * @example
 * const window = yield* checkedWindow(framework, attachment, "bidirectional");
 * const addresses = yield* withRuns(attachment, window, 0, attachment.buf.sizeBytes, function* (runs) {
 *   return runs.map((run) => run.address);
 * });
 * yield* window.close();
 * addresses; // [0x4000_0000]
 */
export function* checkedWindow(fw: Framework, at: DmaBufAttachment, direction: Direction): Op<Window> {
  return checked(fw, at, yield* fw.open(at, direction));
}

/**
 * The same around a window that is open already: one of a private agreement, which no contract opens.
 * @example
 * const window = checked(framework, attachment, yield* framework.open(attachment, "to-device"));
 * yield* window.close();
 */
export function checked(fw: Framework, at: DmaBufAttachment, window: Window): Window {
  return new CheckedWindow(fw, at, window);
}

class CheckedWindow implements Window {
  readonly resv: Window["resv"];
  readonly #fw: Framework;
  readonly #at: DmaBufAttachment;
  readonly #window: Window;
  readonly #call: CallName;
  readonly #told = new Told();
  #drops = 0;

  constructor(fw: Framework, at: DmaBufAttachment, window: Window) {
    this.#fw = fw;
    this.#at = at;
    this.#window = window;
    this.#call = answering(fw);
    this.resv = window.resv;
  }

  *runs(offset: number, sizeBytes: number, held: Held | null): Op<readonly Run[]> {
    if (this.resv === "held" && !held) return yield* this.#window.runs(offset, sizeBytes, held);
    const asked = { offset, sizeBytes, bufferBytes: this.#at.buf.sizeBytes };
    const mistake = whyNotAsked(asked);
    if (mistake) throw new RangeError(mistake);
    for (let tries = 0; tries < TRIES; tries++) {
      const before = this.#drops;
      const runs = yield* this.#answer(offset, sizeBytes, held);
      const wrong = whyNot(runs, asked);
      if (wrong) return yield* this.#lie(wrong, held);
      if (before === this.#drops) return yield* this.#note(runs, held);
      if (!held) return runs;
    }
    return yield* this.#lie(`tells to stop in each of ${TRIES} answers`, held);
  }

  drop(held: Held): Op<void> {
    this.#drops++;
    this.#told.forget();
    return this.#window.drop(held);
  }

  close(): Op<void> {
    return this.#window.close();
  }

  *#answer(offset: number, sizeBytes: number, held: Held | null): Op<readonly Run[]> {
    const { exporterName } = this.#at.buf;
    const known = this.#fw.findings.length;
    try {
      const runs = yield* awaited(`an answer of ${exporterName}`, this.#window.runs(offset, sizeBytes, held));
      return runs.map(copied);
    } catch (error) {
      if (error instanceof DmaBufError || error instanceof EndSignal) throw error;
      if (!(error instanceof BugSignal))
        return yield* this.#lie(`throws ${String(error)}`, held, { cause: error, known });
      // The end of the task: the core has booked it, under the call alone.
      if (this.#fw.findings.at(-1)?.party === "exporter") this.#report(error.message);
      throw error;
    }
  }

  /** All or nothing: of an answer that is refused, nothing is held against the next. */
  *#note(runs: readonly Run[], held: Held | null): Op<readonly Run[]> {
    if (this.#call === "mmap") return runs;
    for (const run of runs) {
      const contradiction = this.#told.contradiction(run);
      if (contradiction) return yield* this.#lie(contradiction, held);
    }
    for (const run of runs) this.#told.add(run);
    return runs;
  }

  /** `thrown`: what the exporter threw, and how many findings there were before. */
  *#lie(message: string, held: Held | null, thrown?: { readonly cause: unknown; readonly known: number }): Op<never> {
    if (!thrown || !this.#isBooked(thrown)) this.#report(message);
    if (held && this.#told.isEmpty) yield* this.#window.drop(held);
    const { stage } = this.#fw.contract.rows[this.#call] ?? { stage: "map" };
    const { exporterName: exporter } = this.#at.buf;
    const rule = `${exporter}: ${message}; nothing of it may be used`;
    throw new DmaBufError("EINVAL", {
      op: this.#call,
      stage,
      message: rule,
      values: { exporter },
      cause: thrown?.cause,
    });
  }

  /** The core books what a callback throws; what a fault handler throws, nobody else does. */
  #isBooked({ cause, known }: { readonly cause: unknown; readonly known: number }): boolean {
    const since = this.#fw.findings.slice(known);
    return since.some(({ party, message }) => party === "exporter" && message.endsWith(String(cause)));
  }

  #report(message: string): void {
    this.#fw.report("violation", this.#call, "exporter", `${this.#at.buf.exporterName}: ${message}`);
  }
}

/** What is checked must be what is installed: an exporter may go on writing in its own list. */
function copied(run: Run): Run {
  if (run.kind === "dma" || !run.attributes) return { ...run };
  return { ...run, attributes: { ...run.attributes } };
}

/** The callback whose answers come through the window. */
function answering({ contract: { rows } }: Framework): CallName {
  if (rows.getPfn) return "getPfn";
  return rows.mapDmaBuf ? "mapDmaBuf" : "mmap";
}
