/** For the fuzz test: two functions of one bus, and an importer. Whoever gets at bytes too late is noted. */
import {
  type Contract,
  type DmaBuf,
  Framework,
  type Op,
  perform,
  type PfnAnswer,
  type P2pVerdict,
  point,
  Scheduler,
  type Strategy,
  type Vma,
} from "@dma-buf/core";
import { RecordingHost } from "@dma-buf/conformance";
import type { VfioDmaBuf } from "../buffer.js";
import type { VfioExporter } from "../exporter.js";
import { FuzzImporter, type Habit, type Use } from "./fuzz-importer.js";
import { type FakeHost, fakeHost } from "../testing.js";
import type { VfioFactory } from "../variant.js";

export type Route = P2pVerdict["mapType"];

interface Member {
  readonly host: FakeHost;
  readonly exporter: VfioExporter;
  resetting: boolean;
  closed: boolean;
}

export class FuzzWorld {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly members: readonly Member[];
  readonly importer: FuzzImporter;
  readonly peer: RecordingHost = new RecordingHost();
  /** Each with the one reference of who exported it. */
  readonly bufs: DmaBuf[] = [];
  readonly areas: Vma[] = [];
  readonly wrong: string[] = [];
  allocFails: () => boolean = () => false;
  readonly #asPosted: boolean;

  constructor(strategy: Strategy, variant: readonly [VfioFactory, Contract, boolean], habit: Habit, route: Route) {
    const [factory, contract, asPosted] = variant;
    this.#asPosted = asPosted;
    this.scheduler = new Scheduler(strategy, 20_000);
    this.fw = new Framework({ contract, scheduler: this.scheduler, trace: false, allocFails: () => this.allocFails() });
    this.members = ["0000:01:00.0", "0000:01:00.1"].map((name) => this.#member(fakeHost(name), factory, route));
    const arrive = (buf: DmaBuf, how: string): Op<void> => this.#arrive(buf, how);
    this.importer = new FuzzImporter(habit, { fw: this.fw, arrive, lockMemory: () => this.#first.exporter.restore() });
  }

  member(n: number): Member {
    return this.members[n % 2] ?? this.#first;
  }

  buf(n: number): DmaBuf | undefined {
    return this.bufs[n % (this.bufs.length || 1)];
  }

  /** Does something with an attachment that nobody is about to give up. */
  *using(n: number, act: (use: Use) => Op<void>, alone = false): Op<void> {
    const uses = [...this.importer.uses].filter((u) => !u.leaving && (!alone || u.busy === 0));
    const use = uses[n % (uses.length || 1)];
    if (!use) return;
    use.busy++;
    try {
      yield* act(use);
    } finally {
      use.busy--;
    }
  }

  /** A CPU maps a page of the BAR, or of the buffer where that can be mapped, and touches it. */
  *mmap(n: number): Op<void> {
    const area: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    const buf = this.buf(n);
    if (buf?.ops.mmap) yield* this.fw.mmapFile(buf, area);
    else this.member(n).exporter.mmapRegion(0, area);
    this.areas.push(area);
    yield* perform(area.fault?.(0) as Op<PfnAnswer>);
    this.#touch(buf?.ops.mmap ? this.#owner(buf) : this.member(n), "a CPU");
  }

  /** Whatever came too late. A buffer that is revoked while nobody revokes is nobody's. */
  *#arrive(buf: DmaBuf, how: string): Op<void> {
    const owner = this.#owner(buf);
    this.#touch(owner, `the importer, ${how},`);
    const lock = owner.exporter.tryLockMemory("a look");
    if (!lock) return;
    if ((buf.priv as VfioDmaBuf).revoked) this.wrong.push(`STALE: the importer, ${how}, has a revoked buffer`);
    yield* lock.end();
  }

  #touch({ host, resetting }: Member, who: string): void {
    if (host.memoryEnabled && host.powerState === "D0" && !resetting) return;
    this.wrong.push(`STALE: ${who} touches ${host.name}, whose memory is off`);
  }

  #owner(buf: DmaBuf): Member {
    return this.members.find((m) => buf.exporterName.endsWith(m.host.name)) ?? this.#first;
  }

  get #first(): Member {
    return this.members[0] as Member;
  }

  #member(host: FakeHost, factory: VfioFactory, mapType: Route): Member {
    const exporter = factory({ asPosted: this.#asPosted })(this.fw, host);
    const member = { host, exporter, resetting: false, closed: false };
    host.verdict = { mapType, distance: mapType === "not-supported" ? -1 : 4 };
    host.onReset = function* () {
      member.resetting = true;
      yield* point("reset");
      member.resetting = false;
    };
    return member;
  }
}
