/** Pages that may move: importers let go first, and nobody's bytes are lost. And those that may not, because they are pinned. */
import { refusal } from "@dma-buf/config/refusal";
import {
  AcquireTicket,
  addr,
  describeEnd,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaFence,
  explore,
  type Held,
  type Op,
  PAGE_SIZE,
  type PfnAnswer,
  type PhysAddr,
  point,
  type ResvGuard,
  Scheduler,
  Usage,
} from "@dma-buf/core";
import { POISON_BYTE } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { bytes, item, type Rig, rig, VARIANTS } from "./host.test.js";

const MOVABLE = { options: { movable: true } };
const PFN = ["pfn", "pfn-locked"];
/** For thousands of worlds. */
const SMALL = {
  machine: { tablesMax: 4 },
  memfds: { ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: 16 * PAGE_SIZE } },
};

function* frame(r: Rig, at: DmaBufAttachment, pgoff: number): Op<PfnAnswer> {
  if (!r.fw.contract.rows.getPfnAttachment) return yield* r.fw.getPfnUnlocked(at, pgoff);
  using held = yield* at.buf.resv.lock();
  return yield* r.fw.getPfnAttachment(at, pgoff, held);
}

/** As an importer of several buffers locks them, without the backing off: nobody else here has a ticket. */
function* lockAll(r: Rig, bufs: readonly DmaBuf[]): Op<void> {
  const ticket = new AcquireTicket(r.fw.env);
  const held: ResvGuard[] = [];
  for (const buf of bufs) held.push(yield* buf.resv.lock(ticket));
  for (const one of held) one[Symbol.dispose]();
  ticket.fini();
}

/** A device's driver that asks for a frame when it has none; a bad one keeps what it has. */
class Driver {
  address: DmaAddr | null = null;
  readonly #r: Rig;
  readonly #zaps: boolean;
  at!: DmaBufAttachment;

  constructor(r: Rig, zaps: boolean) {
    this.#r = r;
    this.#zaps = zaps;
  }

  *attach(buf: DmaBuf): Op<void> {
    const invalidateMappings = (): void => void (this.#zaps && (this.address = null));
    this.at = yield* this.#r.fw.dynamicAttach(buf, this.#r.nic, {
      name: "driver",
      ops: { allowPeer2peer: false, invalidateMappings },
    });
  }

  *where(): Op<DmaAddr> {
    this.address ??= addr<DmaAddr>((yield* frame(this.#r, this.at, 0)).pfn * PAGE_SIZE);
    return this.address;
  }
}

describe("a page that nobody may move", () => {
  it.each(VARIANTS)(
    "$name: pinned for the buffer's life: EBUSY, and the bytes stay where they were told to be",
    ({ name }) => {
      const r = rig({ variant: name });
      const fd = r.file(2);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const before = r.out();
      expect(refusal(() => r.run(r.memfds.memfd(fd).migrate(0)))).toBe("EBUSY@pin");
      expect(r.out()).toEqual(before);
      // Its neighbour is in no buffer.
      r.run(r.memfds.memfd(fd).migrate(1));
      r.run(r.fw.put(buf));
      r.run(r.memfds.memfd(fd).migrate(0));
    },
  );
});

describe("a page that moves", () => {
  it.each(PFN)(
    "%s: an importer that zaps asks again and sees the bytes; one that keeps the frame is where nobody is: STALE",
    (variant) => {
      const r = rig({ variant, ...MOVABLE });
      const fd = r.file(1);
      const file = r.memfds.memfd(fd);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const [good, bad] = [new Driver(r, true), new Driver(r, false)];
      for (const driver of [good, bad]) r.run(driver.attach(buf));
      const old = r.run(good.where());
      r.run(bad.where());
      file.write(0, bytes(7));
      r.run(file.migrate(0));
      expect(good.address).toBeNull();
      const now = r.run(good.where());
      expect(now).not.toBe(old);
      expect(r.run(r.nic.read(now, 8))).toMatchObject({ bytes: bytes(7) });
      // What it reads is poison, and what it writes the file never sees.
      expect(r.run(r.nic.read(r.run(bad.where()), 8))).toMatchObject({ bytes: bytes(POISON_BYTE) });
      r.run(r.nic.write(r.run(bad.where()), bytes(9)));
      expect(file.read(0, 8)).toEqual(bytes(7));
      r.run(r.nic.write(now, bytes(5)));
      expect(file.read(0, 8)).toEqual(bytes(5));
    },
  );

  it("vma: a fault after the move tells the new frame", () => {
    const r = rig({ variant: "vma", ...MOVABLE });
    const fd = r.file(1);
    const vma = r.run(
      r.fw.mmapFile(r.exporter.create([item(fd, 0, 1)]), { pgoff: 0, pages: 1, buf: null, fault: null }),
    );
    const before = vma.fault?.(0) as PfnAnswer;
    r.run(r.memfds.memfd(fd).migrate(0));
    const after = vma.fault?.(0) as PfnAnswer;
    expect(after.pfn).not.toBe(before.pfn);
    expect(r.memfds.memfd(fd).ranges(0, PAGE_SIZE)[0]?.physical).toBe(after.pfn * PAGE_SIZE);
  });

  it.each(PFN)("%s: who cannot be told is refused at attach", (variant) => {
    const r = rig({ variant, ...MOVABLE });
    const buf = r.exporter.create([item(r.file(1), 0, 1)]);
    const before = r.out();
    expect(refusal(() => r.run(r.fw.staticAttach(buf, r.nic, "static")))).toBe("EOPNOTSUPP@attach");
    expect(r.out()).toEqual(before);
  });

  it.each(["dma-address", "annotated-address", "linux-7.3"])(
    "%s: what a static importer has mapped stays; then it moves",
    (variant) => {
      const r = rig({ variant, ...MOVABLE });
      const fd = r.file(1);
      const file = r.memfds.memfd(fd);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const at = r.run(r.fw.staticAttach(buf, r.nic, "static"));
      const table = r.run(r.fw.mapAttachmentUnlocked(at, "bidirectional"));
      const before = r.out();
      expect(refusal(() => r.run(file.migrate(0)))).toBe("EBUSY@pin");
      expect(r.out()).toEqual(before);
      r.run(r.fw.unmapAttachmentUnlocked(at, table, "bidirectional"));
      r.run(r.fw.detachAttachment(buf, at));
      expect(r.exporter.ledger).toEqual({ buffers: 1, tables: 0, pins: 0 });
      r.run(file.migrate(0));
    },
  );

  it("a pin and the kernel's mapping keep it, and a closed file lives as long as the buffer", () => {
    const r = rig({ variant: "linux-7.3", ...MOVABLE });
    const fd = r.file(1);
    const file = r.memfds.memfd(fd);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    r.memfds.close(fd);
    const map = r.run(r.fw.vmapBufferUnlocked(buf));
    expect(refusal(() => r.run(file.migrate(0)))).toBe("EBUSY@pin");
    r.run(r.fw.vunmapBufferUnlocked(buf, map));
    const driver = new Driver(r, true);
    r.run(driver.attach(buf));
    const pin = (call: "pinAttachment" | "unpinAttachment") =>
      r.run(
        (function* () {
          using held = yield* buf.resv.lock();
          yield* r.fw[call](driver.at, held);
        })(),
      );
    pin("pinAttachment");
    expect(refusal(() => r.run(file.migrate(0)))).toBe("EBUSY@pin");
    pin("unpinAttachment");
    r.run(file.migrate(0));
    r.run(r.fw.detachAttachment(buf, driver.at));
    r.run(r.fw.put(buf));
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
  });

  it("who asks again in its callback, each time, keeps it: EAGAIN, and nothing is left", () => {
    const r = rig({ variant: "pfn-locked", ...MOVABLE });
    const fd = r.file(1);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    const ops = {
      allowPeer2peer: false,
      *invalidateMappings(at: DmaBufAttachment, held: Held): Op<void> {
        yield* r.fw.getPfnAttachment(at, 0, held);
      },
    };
    r.run(r.fw.dynamicAttach(buf, r.nic, { name: "greedy", ops }));
    const before = r.out();
    expect(refusal(() => r.run(r.memfds.memfd(fd).migrate(0)))).toBe("EAGAIN@pin");
    expect(r.out()).toEqual(before);
    expect(buf.resv.locked).toBe(false);
    // The next can begin.
    expect(refusal(() => r.run(r.memfds.memfd(fd).migrate(0)))).toBe("EAGAIN@pin");
  });

  it("who pins in its callback keeps it: EBUSY; a contract without pins offers none", () => {
    const r = rig({ variant: "linux-7.3", ...MOVABLE });
    const fd = r.file(1);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    const invalidateMappings = (at: DmaBufAttachment, held: Held): Op<void> => r.fw.pinAttachment(at, held);
    r.run(r.fw.dynamicAttach(buf, r.nic, { name: "pins", ops: { allowPeer2peer: false, invalidateMappings } }));
    expect(refusal(() => r.run(r.memfds.memfd(fd).migrate(0)))).toBe("EBUSY@pin");
    expect(r.exporter.ledger.pins).toBe(1);
    const v = rig({ variant: "vma", ...MOVABLE });
    expect(v.exporter.create([item(v.file(1), 0, 1)]).ops.pin).toBeUndefined();
  });

  it("the mapping for the CPU's access goes before a move, and is made anew", () => {
    const r = rig({ variant: "linux-7.3", ...MOVABLE });
    const fd = r.file(1);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    r.run(r.fw.beginAccess(buf, "from-device"));
    r.run(r.memfds.memfd(fd).migrate(0));
    expect(r.exporter.ledger.tables).toBe(0);
    r.run(r.fw.endAccess(buf, "from-device"));
    const seen: number[] = [];
    r.memfds.misc.dma.syncForCpu = (address) => void seen.push(address);
    r.run(r.fw.beginAccess(buf, "to-device"));
    expect(seen).toEqual([r.memfds.memfd(fd).ranges(0, PAGE_SIZE)[0]?.physical]);
    r.run(r.fw.put(buf));
    expect(r.exporter.ledger).toEqual({ buffers: 0, tables: 0, pins: 0 });
  });
});

describe("what a move waits for", () => {
  it.each(VARIANTS.filter(({ contract }) => contract.policy.drain.includes("fences")))(
    "$name: fences, while the page stays",
    ({ name }) => {
      const r = rig({ variant: name, ...MOVABLE });
      const fd = r.file(1);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const fence = new DmaFence(
        r.fw.env,
        { driverName: () => "test", timelineName: () => "ring" },
        r.fw.env.allocContexts(1),
        1,
      );
      r.run(
        (function* () {
          using held = yield* buf.resv.lock();
          buf.resv.reserveFences(held, 1);
          buf.resv.addFence(held, fence, Usage.BOOKKEEP);
        })(),
      );
      const where = () => r.memfds.memfd(fd).ranges(0, PAGE_SIZE)[0]?.physical;
      const was = where();
      const task = r.scheduler.spawn("compaction", r.memfds.memfd(fd).migrate(0));
      const job = r.scheduler.spawn(
        "job",
        (function* () {
          for (let i = 0; i < 20; i++) yield* point("job");
          expect(where()).toBe(was);
          fence.signal();
        })(),
      );
      r.scheduler.run();
      expect([task.state, job.state]).toEqual(["done", "done"]);
      expect(where()).not.toBe(was);
    },
  );

  it.each(VARIANTS)("$name: a buffer that goes while its page moves keeps nothing, in every order", ({ name }) => {
    const race = (scheduler: Scheduler): string => {
      const r = rig({ variant: name, scheduler, ...MOVABLE, ...SMALL });
      const fd = r.file(1);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      r.run(r.fw.beginAccess(buf, "to-device"));
      const tasks = [scheduler.spawn("move", r.memfds.memfd(fd).migrate(0)), scheduler.spawn("put", r.fw.put(buf))];
      scheduler.run();
      return [...tasks.map((task) => task.state), r.fw.findings.length, r.exporter.ledger.tables].join();
    };
    const found = explore(race, { badness: (end) => Number(end !== "done,done,0,0"), ordersMax: 3000 });
    expect([found.kind, found.worst.result]).toEqual(["exhausted", "done,done,0,0"]);
  });

  it("one who is told anew while unmaps are waited for, and then lets the buffer go, does not keep its page", () => {
    const race = (scheduler: Scheduler): string => {
      const r = rig({ variant: "linux-7.3", scheduler, ...MOVABLE, ...SMALL });
      const { fw } = r;
      const fd = r.file(1);
      const buf = r.exporter.create([item(fd, 0, 1)]);
      const ops = { allowPeer2peer: false, invalidateMappings() {} };
      const at = r.run(fw.dynamicAttach(buf, r.nic, { name: "late", ops }));
      const first = r.run(fw.mapAttachmentUnlocked(at, "to-device"));
      const move = scheduler.spawn("move", r.memfds.memfd(fd).migrate(0));
      const importer = scheduler.spawn(
        "importer",
        (function* () {
          const second = yield* fw.mapAttachmentUnlocked(at, "to-device");
          for (const table of [first, second]) yield* fw.unmapAttachmentUnlocked(at, table, "to-device");
          yield* fw.detachAttachment(buf, at);
          yield* fw.put(buf);
        })(),
      );
      scheduler.run();
      return [move.state, importer.state, r.fw.findings.length, r.exporter.ledger.buffers].join();
    };
    const found = explore(race, { badness: (end) => Number(end !== "done,done,0,0"), ordersMax: 20_000 });
    expect([found.kind, found.worst.result]).toEqual(["exhausted", "done,done,0,0"]);
  });

  it("a page of two buffers waits for no importer who locks both, in whatever order they lock", () => {
    const race = (scheduler: Scheduler): string => {
      const r = rig({ variant: "linux-7.3", scheduler, ...MOVABLE, ...SMALL });
      const fd = r.file(1);
      const bufs = [0, 1].map(() => r.exporter.create([item(fd, 0, 1)]));
      scheduler.spawn("move", r.memfds.memfd(fd).migrate(0));
      scheduler.spawn("importer", lockAll(r, bufs.toReversed()));
      return describeEnd(scheduler.run());
    };
    const found = explore(race, { badness: (end) => Number(end !== "done"), ordersMax: 3000 });
    expect([found.kind, found.worst.result]).toEqual(["exhausted", "done"]);
  });

  it("linux-7.3: an importer that never unmaps keeps the page for ever, and the finding names it", () => {
    const r = rig({ variant: "linux-7.3", ...MOVABLE });
    const fd = r.file(1);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    const driver = new Driver(r, false);
    r.run(driver.attach(buf));
    const table = r.run(r.fw.mapAttachmentUnlocked(driver.at, "to-device"));
    const before = r.out();
    const task = r.scheduler.spawn("compaction", r.memfds.memfd(fd).migrate(0));
    r.scheduler.run();
    expect(task.state).toBe("ended");
    expect(r.fw.findings.map((f) => f.message).join()).toMatch(/compaction waits at dma_buf.unmap for unmap by driver/);
    // Everything else is intact, and the next attempt succeeds when it is unmapped.
    expect(r.out()).toEqual(before);
    r.run(r.fw.unmapAttachmentUnlocked(driver.at, table, "to-device"));
    r.run(r.memfds.memfd(fd).migrate(0));
  });

  it.each(PFN)(
    "%s: in every order of a move and a use, the device reads the file's bytes or nothing of it",
    (variant) => {
      const race = (scheduler: Scheduler): { wrong: number } => {
        const r = rig({
          variant,
          scheduler,
          ...MOVABLE,
          ...SMALL,
        });
        const fd = r.file(1);
        r.memfds.memfd(fd).write(0, bytes(7));
        const driver = new Driver(r, true);
        const buf = r.exporter.create([item(fd, 0, 1)]);
        r.run(driver.attach(buf));
        let wrong = 0;
        scheduler.spawn("move", r.memfds.memfd(fd).migrate(0));
        scheduler.spawn(
          "use",
          (function* () {
            yield* driver.where();
          })(),
        );
        scheduler.run();
        // What it kept must be where the page is.
        if (
          driver.address !== null &&
          (driver.address as number) !== r.memfds.memfd(fd).ranges(0, PAGE_SIZE)[0]?.physical
        )
          wrong++;
        r.run(r.fw.detachAttachment(buf, driver.at));
        r.run(r.fw.put(buf));
        return { wrong: wrong + r.fw.findings.length };
      };
      const found = explore(race, { badness: (x) => x.wrong, ordersMax: 3000 });
      expect(found.kind).toBe("exhausted");
      expect(found.worst.result.wrong).toBe(0);
    },
  );
});
