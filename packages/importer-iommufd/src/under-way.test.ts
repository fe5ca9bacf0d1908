/** What others meet while an area is filled or torn down, and who waits for whom. */
import { DmaBufError, explore, type Op, Scheduler, seeded } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { machineWorld, MAP } from "./testing/machine-world.js";
import { IOVA, type PaperWorld, paperWorld } from "./testing/paper-world.js";

const LENGTH = 4096n;

/** Answers of two who do something at the same time, in every order: each pair once. */
function answers(first: (w: PaperWorld) => Op<unknown>, second: (w: PaperWorld) => Op<unknown>, mapped: boolean) {
  const seen = new Set<string>();
  const play = (scheduler: Scheduler): boolean => {
    const w = paperWorld("linux-7.3", scheduler);
    scheduler.complete("before", w.ioas.allocHwpt({} as never));
    if (mapped) scheduler.complete("before", w.map());
    const tasks = [scheduler.spawn("first", first(w)), scheduler.spawn("second", second(w))];
    const end = scheduler.run();
    seen.add(
      [end.kind, ...tasks.map(({ error }) => (error instanceof DmaBufError ? error.code : error ? "?" : "ok"))].join(
        " ",
      ),
    );
    scheduler.complete("close", w.iommufd.close());
    scheduler.complete("put", w.fw.put(w.buf));
    return w.fw.findings.length > 0 || w.fw.ledger.references > 0;
  };
  const found = explore(play, { badness: Number, ordersMax: 20_000 });
  expect([found.kind, found.worst.result]).toEqual(["exhausted", false]);
  return { orders: found.explored, seen: [...seen].toSorted() };
}

describe("in every order", () => {
  const unmap = (w: PaperWorld): Op<unknown> => w.ioas.unmap(IOVA, LENGTH);

  it("UNMAP × MAP_FILE: before it ENOENT, during it EBUSY, after it ok", () => {
    const { seen } = answers((w) => w.map(), unmap, false);
    expect(seen).toEqual(["done ok EBUSY", "done ok ENOENT", "done ok ok"]);
  });

  it("UNMAP × UNMAP: one of them; the other ENOENT or, during it, EBUSY", () => {
    const { seen } = answers(unmap, unmap, true);
    expect(seen).toEqual(["done EBUSY ok", "done ENOENT ok", "done ok EBUSY", "done ok ENOENT"]);
  });

  it("COPY × UNMAP: of what is there, or ENOENT; the backing outlives the area", () => {
    const copy = (w: PaperWorld): Op<unknown> =>
      w.ioas.copy({ flags: 7, iova: 0x20_0000n, length: LENGTH, src: w.ioas, srcIova: IOVA });
    const { seen } = answers(copy, unmap, true);
    expect(seen).toEqual(["done ENOENT ok", "done ok ok"]);
  });

  it("attach × UNMAP: each waits for the other", () => {
    const { seen } = answers((w) => w.ioas.allocHwpt({} as never), unmap, true);
    expect(seen).toEqual(["done ok ok"]);
  });
});

it("S49: map by address, map by fd, revoke and unmap: nobody waits for ever, in 40 orders", () => {
  for (let seed = 0; seed < 40; seed++) {
    const w = machineWorld("linux-7.3", { scheduler: new Scheduler(seeded(seed)) });
    const ioas = w.iommufd.createIoas();
    w.run(w.iommufd.bind(w.nic).attach(ioas));
    const file = w.memfds.memfd(w.memfds.create(4096));
    w.user.mmap(0x10000n, 4096, { file });
    const buf = w.bar();
    const acts = [
      () => ioas.map({ flags: MAP.FIXED_RW, iova: 0n, length: LENGTH, userVa: 0x10000n }),
      () => ioas.mapFile({ flags: MAP.FIXED_RW, iova: IOVA, length: LENGTH, file: buf, start: 0n }),
      () => w.vfio.revoke(),
      () => ioas.unmap(0n, 2n ** 64n - 1n),
    ];
    for (let i = 0; i < acts.length; i++) w.scheduler.spawn(`act ${i}`, (acts[i] as () => Op<unknown>)());
    expect(w.scheduler.run().kind).toBe("done");
  }
});
