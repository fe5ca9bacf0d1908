/** A race on the machine for who has a guard taken out: bytes say what it was for. One page, at one of two places of a BAR. */
import { addr, DmaBufError, DmaFence, type Held, type Op, point, Scheduler, seeded, Usage } from "@dma-buf/core";
import type { Guards } from "../world.js";
import { IOVA } from "./attached-world.js";
import { BAR, COLUMNS, type Column, machineWorld, MAP, PAGE } from "./machine-world.js";
import { exporterOps } from "./paper-world.js";

/** Who runs against the exporter. */
export type User = "maps" | "attaches" | "has mapped";
/** `move, copied later`: a KERNEL fence says until when, and the reservation is given back before. */
export type Way = "revoke" | "move, copied later";

/** What the old place's next owner writes there, what was in the buffer, and what the NIC writes. */
const [OTHER, BEFORE, WRITTEN] = [0x77, 0x11, 0x22];
const PLACES = [BAR, BAR + 16 * PAGE] as const;
const SEEDS = 100;

/** In the first of some orders at random in which anything is wrong; nothing, where all is well in each. */
export function someWrong(id: string, user: User, way: Way, guards: Guards = {}): string[] {
  for (let seed = 0; seed < SEEDS; seed++) {
    const strategy = seeded(seed);
    strategy.begin();
    const wrong = new Race(id, guards, new Scheduler(strategy)).play(user, way);
    if (wrong.length > 0) return wrong;
  }
  return [];
}

class Race {
  readonly #w;
  readonly #buf;
  readonly #ioas;
  readonly #bound;
  #place: number | null = PLACES[0];
  #fence: DmaFence | null = null;

  constructor(id: string, guards: Guards, scheduler: Scheduler) {
    this.#w = machineWorld(id, { scheduler, importer: { guards }, tablesMax: 16 });
    const { fw, iommufd, nic } = this.#w;
    const ops = exporterOps((COLUMNS[id] as Column).contract, () => this.#place && this.#place / PAGE);
    this.#buf = fw.export({ exporterName: "exporter", ops, sizeBytes: PAGE, priv: ops });
    this.#ioas = iommufd.createIoas();
    this.#bound = iommufd.bind(nic);
  }

  /** What is wrong, by the words of the catalogue. */
  play(user: User, way: Way): string[] {
    const { fw, iommufd, run, scheduler } = this.#w;
    this.#poke(PLACES[0], BEFORE);
    if (user !== "attaches") run(this.#bound.attach(this.#ioas));
    if (user !== "maps") run(this.#map());
    const wrong: string[] = [];
    const task = scheduler.spawn("user", this.#use(user, wrong));
    scheduler.spawn("exporter", way === "revoke" ? this.#revoke() : this.#move());
    const { kind } = scheduler.run();
    if (kind !== "done") return [`HANG: ended in a ${kind}`];
    if (task.error && !(task.error instanceof DmaBufError && /ENODEV|EFAULT/.test(task.error.code)))
      wrong.push(`the user met ${task.error instanceof Error ? task.error.message : "something else"}`);
    this.#poke(PLACES[0], OTHER);
    run(this.#write());
    if (this.#peek(PLACES[0]) !== OTHER) wrong.push("STALE: a write arrived in what is somebody else's");
    run(iommufd.close());
    run(fw.put(this.#buf));
    return [...wrong, ...fw.findings.map((f) => f.message)];
  }

  *#use(user: User, wrong: string[]): Op<void> {
    if (user === "maps") yield* this.#map();
    if (user === "attaches") yield* this.#bound.attach(this.#ioas);
    // What is sent before the callbacks ran may be on its way to the old place still.
    const moved = this.#fence !== null;
    const { kind } = yield* this.#write();
    yield { site: "copied", ready: () => this.#fence === null || this.#fence.signaled };
    if (moved && kind === "done" && this.#peek(PLACES[1]) !== WRITTEN) wrong.push("CORRUPT: a write is lost");
  }

  *#revoke(): Op<void> {
    using held = yield* this.#buf.resv.lock();
    this.#place = null;
    yield* this.#w.fw.invalidate(this.#buf, held);
  }

  *#move(): Op<void> {
    {
      using held = yield* this.#buf.resv.lock();
      this.#place = PLACES[1];
      yield* this.#w.fw.invalidate(this.#buf, held);
      this.#announce(held);
    }
    for (let i = 0; i < 8; i++) yield* point("copy engine");
    this.#poke(PLACES[1], this.#peek(PLACES[0]));
    this.#fence?.signal();
  }

  #announce(held: Held): void {
    const { env } = this.#w.fw;
    const names = { driverName: () => "exporter", timelineName: () => "copies" };
    this.#fence = new DmaFence(env, names, env.allocContexts(1), 1);
    this.#buf.resv.reserveFences(held, 1);
    this.#buf.resv.addFence(held, this.#fence, Usage.KERNEL);
  }

  #map(): Op<unknown> {
    const what = { flags: MAP.FIXED_RW, iova: IOVA, length: BigInt(PAGE), start: 0n };
    return this.#ioas.mapFile({ ...what, file: this.#buf });
  }

  #write() {
    return this.#w.nic.write(addr(Number(IOVA)), new Uint8Array(16).fill(WRITTEN));
  }

  #poke(at: number, value: number): void {
    this.#w.machine.memory.write(addr(at), new Uint8Array(16).fill(value));
  }

  #peek(at: number): number {
    return this.#w.machine.memory.read(addr(at), 1)[0] as number;
  }
}
