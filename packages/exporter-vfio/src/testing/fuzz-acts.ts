/** For the fuzz test: everything that may be done. */
import { DmaBufError, type Op, point } from "@dma-buf/core";
import { encodeDmaBufFeature } from "../feature-layout.js";
import type { FuzzWorld } from "./fuzz-world.js";
import { hotReset } from "../hot-reset.js";
import { PAGE } from "../testing.js";

/** An act, and a number that chooses among its objects. */
export type Act = readonly [string, number];

/** One act after the other; what is refused ends none. */
export function* live(w: FuzzWorld, acts: readonly Act[]): Op<void> {
  for (const [name, n] of acts) {
    try {
      yield* ACTS[name]?.(w, n) ?? point(name);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
    }
  }
}

/** By where they begin and how long they are, pages: one, two that overlap, an empty one, one beyond the end. */
const RANGES = [
  [[0, 1]],
  [
    [1, 2],
    [0, 2],
  ],
  [[4, 0]],
  [[15, 2]],
].map((list) => list.map(([at = 0, pages = 0]) => ({ offset: at * PAGE, length: pages * PAGE })));

const request = (n: number) => ({ regionIndex: n === 11 ? 2 : 0, ranges: RANGES[n % 4] ?? [], openFlags: 0 });
const emfile = new DmaBufError("EMFILE", { op: "dma_buf_fd", stage: "fd", message: "none is left" });

export const ACTS: Readonly<Record<string, (w: FuzzWorld, n: number) => Op<void>>> = {
  *export(w, n) {
    w.bufs.push(yield* w.member(n).exporter.export(request(n)));
  },
  *feature(w, n) {
    yield* w.member(n).exporter.deviceFeature(encodeDmaBufFeature(request(n)), (buf) => {
      if (n > 8) throw emfile;
      return w.bufs.push(buf);
    });
  },
  *put(w, n) {
    const buf = w.buf(n);
    if (buf) w.bufs.splice(w.bufs.indexOf(buf), 1);
    if (buf) yield* w.fw.put(buf);
  },
  *attach(w, n) {
    const buf = w.buf(n);
    if (buf) yield* w.importer.attach(buf, n % 3 === 0 ? null : w.peer.device, n !== 10);
  },
  use: (w, n) => w.using(n, (use) => w.importer.use(use, n % 5)),
  pin: (w, n) => w.using(n, (use) => w.importer.pin(use)),
  leave: (w, n) => w.using(n, (use) => w.importer.leave(use), true),
  mmap: (w, n) => w.mmap(n),
  *close(w, n) {
    w.member(n).closed = true;
    yield* w.member(n).exporter.close();
  },
  "hot reset": (w, n) =>
    hotReset({
      set: w.members.map((m) => m.exporter),
      isOwned: (e) => n > 1 || e === w.member(n).exporter,
      resetBus: () => w.member(n).host.onReset(),
    }),
  bind: (w, n) => w.member(n).exporter.binding.bind({}),
  unbind: (w, n) => w.member(n).exporter.binding.unbind(),
  off: (w, n) => w.member(n).exporter.setMemoryEnabled(false),
  on: (w, n) => w.member(n).exporter.setMemoryEnabled(true),
  D3hot: (w, n) => w.member(n).exporter.setPowerState("D3hot"),
  D0: (w, n) => w.member(n).exporter.setPowerState("D0"),
  FLR: (w, n) => w.member(n).exporter.functionLevelReset(),
  reset: (w, n) => w.member(n).exporter.reset(),
  sleep: (w, n) => w.member(n).exporter.enterLowPower(),
  wake: (w, n) => w.member(n).exporter.exitLowPower(),
  revoke: (w, n) => w.member(n).exporter.revoke(),
  restore: (w, n) => w.member(n).exporter.restore(),
};
