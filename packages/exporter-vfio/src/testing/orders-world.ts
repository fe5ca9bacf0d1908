/** One importer of a class against what takes the memory away, and a witness that knows when it is gone. */
import { type Access, classImporter, type ImporterClass, RecordingHost } from "@dma-buf/conformance";
import { type Contract, type DmaBuf, DmaBufError, Framework, type Op, Scheduler } from "@dma-buf/core";
import type { VfioExporter } from "../exporter.js";
import { fakeHost, PAGE } from "../testing.js";
import type { VfioFactory } from "../variant.js";

export interface Variant {
  readonly contract: Contract;
  readonly factory: VfioFactory;
}

export const ACTS = ["off", "reset", "FLR", "close"] as const;
export const LIVES = ["map and access", "access and close"] as const;
export type Act = (typeof ACTS)[number];
export type Life = (typeof LIVES)[number];

/** One page: the more is looked at, the more orders there are, and they show the same. */
const ONE = { regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] };

class World {
  readonly wrong: string[] = [];
  readonly fw: Framework;
  readonly peer = new RecordingHost();
  readonly host = Object.assign(fakeHost(), { provider: () => this.peer.provider });
  readonly exporter: VfioExporter;
  arrivals = 0;
  #isOpen = true;
  /** Who was told before this step, that of the last reset, had the memory taken away. */
  #takenStep = 0;

  constructor(scheduler: Scheduler, { contract, factory }: Variant) {
    this.fw = new Framework({ contract, scheduler, trace: false });
    this.exporter = factory()(this.fw, this.host);
    this.host.onReset = () => this.#reset();
  }

  importer(name: ImporterClass) {
    return classImporter(name, { framework: this.fw, arrived: (access) => this.#arrived(access) });
  }

  readonly acts: Readonly<Record<Act, () => Op<void>>> = {
    off: () => this.exporter.setMemoryEnabled(false),
    reset: () => this.exporter.reset(),
    FLR: () => this.exporter.functionLevelReset(),
    close: () => this.#close(),
  };

  *#reset(): Op<void> {
    this.#takenStep = this.fw.scheduler.steps;
  }

  *#close(): Op<void> {
    yield* this.exporter.close();
    this.#isOpen = false;
  }

  #arrived({ importer, run, lookedUpStep }: Access): void {
    this.arrivals++;
    if (!(this.host.memoryEnabled && this.#isOpen)) this.wrong.push(`${importer} reaches memory that is gone`);
    else if (lookedUpStep < this.#takenStep) this.wrong.push(`${importer} uses what it was told before`);
    if ((run.kind === "dma" || run.kind === "iova") && this.peer.place(run.address) === null)
      this.wrong.push(`${importer} faults`);
  }
}

/** What went wrong in one order, in words. */
export function play(scheduler: Scheduler, variant: Variant, name: ImporterClass, act: Act, life: Life): string[] {
  const w = new World(scheduler, variant);
  const buf = scheduler.complete("export", w.exporter.export(ONE));
  const importer = w.importer(name);
  let attached = life === "access and close";
  if (attached) scheduler.complete("before", arrive(w, buf, importer));
  const lives: Readonly<Record<Life, () => Op<void>>> = {
    *"map and access"() {
      yield* importer.attach(buf, w.peer.device);
      attached = true;
      yield* importer.use();
    },
    *"access and close"() {
      yield* refusable(importer.use());
      yield* importer.close();
      attached = false;
    },
  };
  scheduler.spawn("importer", refusable(lives[life](), w.wrong));
  scheduler.spawn("vmm", refusable(w.acts[act](), w.wrong));
  const { kind } = scheduler.run();
  if (kind !== "done") w.wrong.push(`ended in a ${kind}`);
  if (attached) scheduler.complete("after", importer.close());
  scheduler.complete("put", w.fw.put(buf));
  const left = { ...w.fw.ledger, ...w.exporter.ledger, dma: w.peer.liveMappings };
  if (Object.values(left).some((n) => n !== 0)) w.wrong.push(`left: ${JSON.stringify(left)}`);
  return [...w.wrong, ...w.fw.findings.map((f) => f.message)];
}

/** Does the exporter let this class in, and to the memory? `null`: it does; else the errno and the stage. */
export function refusalOf(variant: Variant, name: ImporterClass): string | null {
  const w = new World(new Scheduler(), variant);
  const buf = w.fw.scheduler.complete("export", w.exporter.export(ONE));
  try {
    w.fw.scheduler.complete("importer", arrive(w, buf, w.importer(name)));
  } catch (error) {
    if (error instanceof DmaBufError) return `${error.code}@${error.stage}`;
    throw error;
  }
  return w.arrivals > 0 ? null : "reaches nothing";
}

function* arrive(w: World, buf: DmaBuf, importer: ReturnType<World["importer"]>): Op<void> {
  yield* importer.attach(buf, w.peer.device);
  yield* importer.use();
}

/** What is refused meanwhile is refused rightly; what throws otherwise is `wrong`. */
function* refusable(op: Op<void>, wrong?: string[]): Op<void> {
  try {
    yield* op;
  } catch (error) {
    if (error instanceof DmaBufError && /ENODEV|EFAULT/.test(error.code)) return;
    if (!wrong) throw error;
    wrong.push(String(error));
  }
}
