/** One memory region against what takes its memory away, on the machine, and what the bytes say afterwards. */
import { addr, type DmaBuf, DmaFence, type Op, PAGE_SIZE, point, type Scheduler, Usage } from "@dma-buf/core";
import type { MemoryRegion } from "../importer.js";
import type { RdmaGuards } from "../options.js";
import type { MrKind } from "../request.js";
import { onePage } from "./one-page.js";
import { Rig, text } from "./rig.js";
import type { VariantId } from "./variants.js";

/** Two places of a page each; the memory is at the first, until it moves. */
const PLACES = [0x2200_0000, 0x2300_0000] as const;
/** What whoever has the old place next writes there, what was in the buffer, and what the NIC writes. */
const [OTHER, BEFORE, WRITTEN] = [0x77, 0x11, 0x22];

export type Way = "revoke" | "move" | "move, copied later" | "none";

export interface Play {
  readonly id: VariantId;
  readonly kind: MrKind;
  readonly way: Way;
  /** `fault`: not mapped before. `mapped`: and looked up once, so that the device has it cached. */
  readonly start: "fault" | "mapped";
  /** What the NIC does. @defaultValue writes once */
  readonly access?:
    | "write"
    | "read"
    | "two writes"
    | "write and deregister"
    | "write, deregistered meanwhile"
    | "two prefetches";
  readonly guards?: Partial<RdmaGuards>;
}

/** What went wrong in one order, in words. */
export function play(scheduler: Scheduler, p: Play): string[] {
  const w = new World(scheduler, p);
  return w.play();
}

class World {
  readonly #wrong: string[] = [];
  readonly #r: Rig;
  readonly #p: Play;
  readonly #buf: DmaBuf;
  #place = 0;
  #revoked = false;
  /** The old place is somebody else's. */
  #gone = false;
  #mr: MemoryRegion | null = null;
  #moving: DmaFence | null = null;

  constructor(scheduler: Scheduler, p: Play) {
    this.#p = p;
    this.#r = new Rig(p.id, {
      scheduler,
      rdma: { guards: p.guards ?? {} },
      machine: { swiotlbBytes: 0, tablesMax: 4 },
    });
    this.#buf = this.#export();
    this.#fill(PLACES[0], BEFORE);
  }

  play(): string[] {
    const { start, kind, access = "write", way } = this.#p;
    const { scheduler, rdma, fw } = this.#r;
    const mr = this.#r.reg(this.#buf, { kind, prefetch: start === "mapped" });
    this.#mr = mr;
    if (start === "mapped") this.#r.read({ key: mr.rkey, iova: 0 });
    scheduler.spawn("NIC", this.#nic(access));
    if (access === "two prefetches") scheduler.spawn("NIC 2", rdma.prefetch(mr));
    if (access === "write, deregistered meanwhile") scheduler.spawn("NIC 2", rdma.deregMr(mr));
    if (way !== "none") scheduler.spawn("exporter", this.#take());
    const { kind: end } = scheduler.run();
    if (end !== "done") return [`HANG: ended in a ${end}`];
    if (this.#gone && this.#read(PLACES[0]) !== OTHER)
      this.#wrong.push("STALE: a write arrived in what is somebody else's");
    const arrived = kind === "on-demand" && way !== "revoke" && access !== "read";
    if (arrived && this.#gone && this.#read(PLACES[1]) !== WRITTEN) this.#wrong.push("CORRUPT: a write is lost");
    if (mr.state !== "deregistered") this.#r.run(rdma.deregMr(mr));
    this.#r.run(fw.put(this.#buf));
    const left = Object.entries({ ...fw.ledger, ...rdma.ledger, ...this.#r.machine.ledger }).filter(([, n]) => n !== 0);
    if (left.length > 0) this.#wrong.push(`RESLEAK: ${JSON.stringify(left)}`);
    // What the contract was posted with is booked against nobody's plugin.
    const blamed = fw.findings.filter((f) => f.party !== "framework");
    return [...this.#wrong, ...blamed.map((f) => f.message)];
  }

  *#nic(access: NonNullable<Play["access"]>): Op<void> {
    if (access === "read") return yield* this.#readOnce();
    if (access === "two prefetches") return yield* this.#r.rdma.prefetch(this.#mr as MemoryRegion);
    yield* this.#write();
    if (access === "two writes") yield* this.#write();
    if (access === "write and deregister") yield* this.#r.rdma.deregMr(this.#mr as MemoryRegion);
  }

  /** What is refused is a protection error; nothing faults, and nothing is lost on the way. */
  *#write(): Op<void> {
    const { rkey: key } = this.#mr as MemoryRegion;
    const { kind } = yield* this.#r.rdma.write({ key, iova: 0 }, text(WRITTEN));
    if (kind !== "done" && kind !== "protection-error") this.#wrong.push(`FAULT: ${kind}`);
    const mayFail = this.#p.way === "revoke" || this.#p.access === "write, deregistered meanwhile";
    if (kind === "protection-error" && this.#p.kind === "on-demand" && !mayFail)
      this.#wrong.push("REFUSED: a write to what only moves");
  }

  *#readOnce(): Op<void> {
    const { rkey: key } = this.#mr as MemoryRegion;
    const result = yield* this.#r.rdma.read({ key, iova: 0 }, 16);
    const [byte] = result.kind === "done" ? result.bytes : [BEFORE];
    if (byte !== BEFORE) this.#wrong.push(`${byte === OTHER ? "STALE" : "CORRUPT"}: read ${byte}`);
  }

  /** Tells, waits for what the contract says, and then the memory is somebody else's. */
  *#take(): Op<void> {
    const { fw } = this.#r;
    const { way } = this.#p;
    const guard = yield* this.#buf.resv.lock();
    if (way === "revoke") this.#revoked = true;
    yield* fw.invalidate(this.#buf, guard);
    if (way !== "revoke") {
      this.#place = 1;
      if (way === "move") this.#fill(PLACES[1], this.#read(PLACES[0]));
      else this.#announce(guard);
    }
    if (way === "move, copied later") {
      guard[Symbol.dispose]();
      return yield* this.#copy();
    }
    yield* fw.drain(this.#buf, guard);
    this.#gone = true;
    this.#fill(PLACES[0], OTHER);
  }

  /** The move goes on after the reservation is given back: a KERNEL fence says until when. */
  #announce(held: Parameters<DmaBuf["resv"]["addFence"]>[0]): void {
    const { env } = this.#r.fw;
    const names = { driverName: () => "exporter", timelineName: () => "copies" };
    this.#moving = new DmaFence(env, names, env.allocContexts(1), 1);
    this.#buf.resv.reserveFences(held, 1);
    this.#buf.resv.addFence(held, this.#moving, Usage.KERNEL);
  }

  *#copy(): Op<void> {
    yield* point("copy engine");
    this.#fill(PLACES[1], this.#read(PLACES[0]));
    this.#fill(PLACES[0], OTHER);
    this.#gone = true;
    this.#moving?.signal();
  }

  #export(): DmaBuf {
    const { fw } = this.#r;
    const ops = onePage(this.#r, this.#p.id, () => {
      if (this.#revoked) throw fw.error("ENODEV", fw.contract.rows.getPfn ? "getPfn" : "mapDmaBuf", "revoked");
      return PLACES[this.#place] as number;
    });
    return fw.export({ exporterName: "exporter", ops, sizeBytes: PAGE_SIZE, priv: {} });
  }

  #fill(place: number, value: number): void {
    this.#r.machine.memory.write(addr(place), text(value));
  }

  #read(place: number): number {
    return this.#r.byte(place);
  }
}
