/** What a user does to an IOAS × an exporter that takes the memory away × a device: one race, in every order. */
import { DmaBufError, explore, type Op, type Scheduler } from "@dma-buf/core";
import type { Guards } from "../world.js";
import { type Access, IOVA, type PaperWorld, paperWorld } from "./paper-world.js";

interface Act {
  /** Before the race. */
  before(w: PaperWorld): void;
  /** By the user, meanwhile. */
  user(w: PaperWorld): Op<unknown>;
  /** Where devices look. */
  readonly at?: bigint;
}

const run = <T>(w: PaperWorld, op: Op<T>): T => w.fw.scheduler.complete("before", op);

const copy = { flags: 7, iova: 0x20_0000n, length: 4096n, srcIova: IOVA };

const ACTS: Readonly<Record<string, Act>> = {
  MAP_FILE: {
    before: (w) => run(w, w.ioas.allocHwpt({} as never)),
    user: (w) => w.map(),
  },
  HWPT_ALLOC: {
    before: (w) => run(w, w.map()),
    user: (w) => w.ioas.allocHwpt({} as never),
  },
  COPY: {
    before(w) {
      run(w, w.ioas.allocHwpt({} as never));
      run(w, w.map());
    },
    user: (w) => w.ioas.copy({ ...copy, src: w.ioas }),
    at: copy.iova,
  },
  "MAP_FILE, attached before": {
    before(w) {
      run(w, w.ioas.allocHwpt({} as never));
      w.attached = run(w, w.iommufd.attachBuffer(w.buf));
    },
    user: (w) => w.mapAttached(),
  },
  revalidate: {
    before(w) {
      run(w, w.ioas.allocHwpt({} as never));
      run(w, w.map());
      run(w, w.revoke());
      w.restore();
    },
    user: (w) => w.ioas.revalidate(),
  },
  nothing: {
    before(w) {
      run(w, w.ioas.allocHwpt({} as never));
      run(w, w.map());
    },
    user: function* () {},
  },
  UNMAP: {
    before(w) {
      run(w, w.ioas.allocHwpt({} as never));
      run(w, w.map());
    },
    user: (w) => w.ioas.unmap(IOVA, 4096n),
  },
};

/** How the race is run. */
export interface How {
  readonly guards?: Guards;
  /** @defaultValue revoke */
  readonly away?: "revoke" | "move";
  /** Does a device come in between, and not only afterwards? @defaultValue false */
  readonly races?: boolean;
}

/** What went wrong in this order, in words. */
function play(id: string, scheduler: Scheduler, act: Act, { guards = {}, away = "revoke", races }: How): string[] {
  const w = paperWorld(id, scheduler, { guards });
  act.before(w);
  const user = scheduler.spawn("user", act.user(w));
  scheduler.spawn("exporter", w[away]());
  const device = races && scheduler.spawn("device", w.access(act.at));
  const end = scheduler.run();
  const met: (Access | undefined | false)[] = [device && device.result, scheduler.complete("after", w.access(act.at))];
  const wrong = met.includes("stale") ? ["STALE"] : [];
  if (end.kind !== "done") wrong.push(`ended in a ${end.kind}`);
  const { error } = user;
  if (error && !(error instanceof DmaBufError && /ENODEV|EFAULT/.test(error.code)))
    wrong.push(`the user met ${error instanceof Error ? error.message : "something else"}`);
  scheduler.complete("close", w.iommufd.close());
  scheduler.complete("put", w.fw.put(w.buf));
  const { references, attachments, mappings, pins } = w.fw.ledger;
  if (references + attachments + mappings + pins > 0) wrong.push(`left: ${JSON.stringify(w.fw.ledger)}`);
  if (w.domains.some((d) => !d.isDestroyed)) wrong.push("a domain is left");
  return [...wrong, ...w.fw.findings.map((f) => f.message)];
}

/** `exhausted: 132 orders`, and what the worst showed. */
export function search(id: string, act: string, how: How = {}): [string, readonly string[]] {
  const { kind, explored, worst } = explore((scheduler) => play(id, scheduler, ACTS[act] as Act, how), {
    badness: (wrong) => wrong.length,
    ordersMax: 40_000,
  });
  return [`${kind}: ${explored} orders`, worst.result];
}
