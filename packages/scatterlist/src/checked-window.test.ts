/** What an exporter may say that cannot be true, under the contracts through which it says it. */
import { refusal } from "@dma-buf/config/refusal";
import { RecordingHost } from "@dma-buf/conformance";
import {
  addr,
  annotatedAddress,
  type Contract,
  dmaAddress,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  DmaFence,
  explore,
  Framework,
  type Held,
  linux73,
  type Op,
  pfn,
  type PfnAnswer,
  pfnLocked,
  type Run,
  Scheduler,
  until,
  Usage,
  vma,
  type Window,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { checkedWindow } from "./index.js";

const PAGE = 4096;
const SIZE_BYTES = 4 * PAGE;
const at = (offset: number, sizeBytes: number, address: number): Run => ({
  kind: "dma",
  offset,
  sizeBytes,
  address: address as never,
});

/** One exporter, one importer that does as it is told, and the checked window between them. */
function scene(contract: Contract, ops: Partial<DmaBufOps>, sizeBytes = SIZE_BYTES, scheduler = new Scheduler()) {
  const fw = new Framework({ contract, scheduler });
  const all = { release() {}, ...(ops.mapDmaBuf ? { unmapDmaBuf() {}, pin() {}, unpin() {} } : {}), ...ops };
  const buf = fw.export({ exporterName: "liar", ops: all, sizeBytes, priv: {} });
  let window = null as unknown as Window;
  const told = (_at: DmaBufAttachment, held: Held): Op<void> => window.drop(held);
  const complete = <T>(op: Op<T>): T => scheduler.complete("importer", op);
  const importer = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings: told } };
  const attachment = complete(fw.dynamicAttach(buf, new RecordingHost().device, importer));
  window = complete(checkedWindow(fw, attachment, "bidirectional"));
  function* ask(offset: number, askedBytes: number): Op<readonly Run[]> {
    if (window.resv === "free") return yield* window.runs(offset, askedBytes, null);
    using held = yield* buf.resv.lock();
    return yield* window.runs(offset, askedBytes, held);
  }
  function* invalidate(): Op<void> {
    using held = yield* buf.resv.lock();
    yield* fw.invalidate(buf, held);
  }
  return {
    fw,
    buf,
    scheduler,
    attachment,
    ask,
    look: (offset = 0, askedBytes = sizeBytes) => complete(ask(offset, askedBytes)),
    invalidate: () => complete(invalidate()),
    close: () => complete(window.close()),
    findings: () => fw.findings.map(({ party, message }) => `${party}: ${message}`),
  };
}

const maps = (runs: () => Iterable<Run>): Partial<DmaBufOps> => ({ mapDmaBuf: () => ({ runs: runs() }) });
const frames = (answer: (pgoff: number) => unknown): Partial<DmaBufOps> =>
  ({ getPfn: (_at: unknown, pgoff: number) => answer(pgoff) }) as never;

describe("a table that cannot be true is refused, with a finding, and given back", () => {
  it.each<[string, Run[], RegExp]>([
    ["nothing at all", [], /the runs end at 0x0 and fall short of 0x4000/],
    ["falls short", [at(0, 3 * PAGE, 0x10000)], /the runs end at 0x3000 and fall short of 0x4000/],
    ["begins late", [at(PAGE, 3 * PAGE, 0x10000)], /0x0 was asked for, and the first run is at 0x1000/],
    ["leaves a hole", [at(0, PAGE, 0x10000), at(2 * PAGE, 2 * PAGE, 0x20000)], /leaves a hole, which ends at 0x1000/],
    ["overlaps", [at(0, 2 * PAGE, 0x10000), at(PAGE, 3 * PAGE, 0x20000)], /overlaps the one before/],
    ["goes backwards", [at(2 * PAGE, 2 * PAGE, 0x10000), at(0, 2 * PAGE, 0x20000)], /the first run is at 0x2000/],
    ["goes beyond the end", [at(0, 5 * PAGE, 0x10000)], /are not inside the buffer of 0x4000/],
    ["begins before the buffer", [at(-PAGE, 5 * PAGE, 0x10000)], /are not inside the buffer of 0x4000/],
    ["NaN bytes long", [at(0, Number.NaN, 0x10000)], /fall short/],
    ["half a byte too much", [at(0, SIZE_BYTES + 0.5, 0x10000)], /a run of 16384.5 bytes/],
    ["less than nothing", [at(0, 2 * PAGE, 0x10000), at(2 * PAGE, -PAGE, 0x20000)], /a run of -4096 bytes/],
    ["endless", [at(0, Infinity, 0x10000)], /a run of Infinity bytes/],
    ["at half an offset", [at(-0.5, SIZE_BYTES + 1, 0x10000)], /a run at offset -0.5/],
    ["at NaN", [at(Number.NaN, SIZE_BYTES, 0x10000)], /fall short/],
    ["address NaN", [at(0, SIZE_BYTES, Number.NaN)], /an address of NaN/],
    ["address below zero", [at(0, SIZE_BYTES, -PAGE)], /an address of -4096/],
    ["address beyond what a Number holds", [at(0, SIZE_BYTES, Number.MAX_SAFE_INTEGER - PAGE)], /an address of/],
    ["address beyond what a table's entry holds", [at(0, SIZE_BYTES, 2 ** 52)], /an address of 4503599627370496/],
    ["end beyond what a table's entry holds", [at(0, SIZE_BYTES, 2 ** 52 - PAGE)], /an address of 4503599627366400/],
    ["no address", [at(0, SIZE_BYTES, undefined as never)], /an address of undefined/],
    ["no run", [null as never], /throws TypeError/],
  ])("%s", (_name, runs, why) => {
    const { look, findings, attachment, buf } = scene(
      linux73,
      maps(() => runs),
    );
    expect(refusal(() => look())).toBe("EINVAL@map");
    expect(findings()).toEqual([expect.stringMatching(/^exporter: liar: /)]);
    expect(findings()[0]).toMatch(why);
    expect([attachment.liveMaps, buf.resv.locked]).toEqual([0, false]);
  });

  it("no runs in the table", () => {
    const { look, findings } = scene(linux73, { mapDmaBuf: () => ({}) as never });
    expect(refusal(() => look())).toBe("EINVAL@map");
    expect(findings()[0]).toMatch(/^exporter: liar: throws TypeError/);
  });

  it("what is true is let through: pieces of pages, a last page that is whole, a buffer that is not", () => {
    const odd = [at(0, 100, 0x10001), at(100, 2 * PAGE - 100, 0x20007)];
    const { look, findings } = scene(
      linux73,
      maps(() => odd),
      PAGE + 17,
    );
    expect([look(), look(PAGE, 17), look(50, 10), look(0, 0)]).toEqual([odd, [odd[1]], [odd[0]], []]);
    expect(findings()).toEqual([]);
  });
});

describe("what is asked", () => {
  const honest = (sizeBytes: number) =>
    scene(
      linux73,
      maps(() => [at(0, sizeBytes, 0x10000)]),
      sizeBytes,
    );

  it("may be the last page as a whole, where the buffer ends in it: whoever does not fill it tells no lie", () => {
    const { look, findings } = honest(PAGE + 17);
    const all = [at(0, PAGE + 17, 0x10000)];
    expect([look(0, 2 * PAGE), look(PAGE, PAGE)]).toEqual([all, all]);
    expect(findings()).toEqual([]);
  });

  it.each([
    [-PAGE, PAGE],
    [0, -PAGE],
    [PAGE, SIZE_BYTES],
    [0, Number.NaN],
    [Number.NaN, PAGE],
    [0, Infinity],
  ])("is the importer's mistake where it is not inside: %d, %d", (offset, sizeBytes) => {
    const { look, findings, attachment, buf } = honest(SIZE_BYTES);
    expect(() => look(offset, sizeBytes)).toThrow(RangeError);
    expect([findings(), attachment.liveMaps, buf.resv.locked]).toEqual([[], 0, false]);
  });
});

describe("how a run is to be reached", () => {
  const bridge = {};
  const attributes = { cache: "uc", snoop: false } as const;
  const bus = (more: object) =>
    ({ ...at(0, SIZE_BYTES, 0x10000), kind: "pci-bus", bridge, attributes, ...more }) as Run;

  it.each<[string, object, string]>([
    ["not at all", { attributes: undefined }, "a run of kind pci-bus with attributes cache undefined, snoop undefined"],
    ["of no type that there is", { attributes: { cache: "wx", snoop: true } }, "cache wx, snoop true"],
    ["snooped or not", { attributes: { cache: "wb" } }, "cache wb, snoop undefined"],
    [
      "a frame without a word of it",
      { kind: "cpu-physical", attributes: undefined },
      "kind cpu-physical with attributes",
    ],
    ["of no kind that there is", { kind: "somewhere" }, "a run of kind somewhere"],
  ])("%s: a lie", (_name, more, why) => {
    const { look, findings, attachment } = scene(
      annotatedAddress,
      maps(() => [bus(more)]),
    );
    expect(refusal(() => look())).toBe("EINVAL@map");
    expect([findings().at(-1), attachment.liveMaps]).toEqual([expect.stringContaining(why), 0]);
  });

  it("and where: what is checked stays as it was, whatever the exporter writes in its list later", () => {
    const mine = { ...bus({}), attributes: { ...attributes } };
    const { look, findings } = scene(
      annotatedAddress,
      maps(() => [mine]),
    );
    const seen = look();
    Object.assign(mine, { address: 0x90000 });
    Object.assign(mine.attributes, { cache: "wb" });
    expect(seen).toEqual([bus({})]);
    Object.assign(mine, { address: 0x10000 });
    expect(refusal(() => look())).toBe("EINVAL@map");
    expect(findings()).toEqual([expect.stringMatching(/at 0x10000 \(pci-bus, uc, .* at 0x10000 \(pci-bus, wb, /)]);
  });
});

describe.each([pfn, pfnLocked])("a frame that cannot be true, under $id", (contract) => {
  it.each<[string, unknown, RegExp]>([
    ["an order too large for its place", { pfn: addr(0x102), maxOrder: 3 }, /are not inside the buffer|overlaps/],
    ["an order larger than the buffer", { pfn: addr(0x100), maxOrder: 3 }, /0x8000 bytes at offset 0x0 are not inside/],
    ["an order beyond all numbers", { pfn: addr(0x100), maxOrder: 2000 }, /Infinity/],
    ["an order that is endless", { pfn: addr(0x100), maxOrder: Infinity }, /Infinity/],
    ["an order below zero", { pfn: addr(0x100), maxOrder: -1 }, /a frame of 2048 bytes/],
    ["an order far below zero", { pfn: addr(0x100), maxOrder: -2000 }, /throws RangeError/],
    ["half an order", { pfn: addr(0x100), maxOrder: 0.5 }, /throws RangeError|bytes/],
    ["an order of NaN", { pfn: addr(0x100), maxOrder: Number.NaN }, /throws RangeError/],
    ["half a frame", { pfn: 0x100 + 0.5, maxOrder: 0 }, /are not inside the buffer/],
    ["a frame of NaN", { pfn: Number.NaN, maxOrder: 0 }, /throws RangeError/],
    ["a frame below zero", { pfn: -1, maxOrder: 0 }, /throws RangeError/],
    ["a frame beyond what a Number holds", { pfn: 2 ** 50, maxOrder: 0 }, /throws RangeError/],
    ["nothing", null, /throws TypeError/],
    ["a word", "frame", /throws RangeError/],
  ])("%s", (_name, answer, why) => {
    const { look, findings, buf } = scene(
      contract,
      frames(() => answer),
    );
    expect(refusal(() => look())).toBe("EINVAL@query");
    expect(findings()).toEqual([expect.stringMatching(/^exporter: liar: /)]);
    expect(findings()[0]).toMatch(why);
    expect(buf.resv.locked).toBe(false);
  });

  it("half a frame in the middle, where it falls short", () => {
    const { look, findings } = scene(
      contract,
      frames(() => ({ pfn: 0x101 + 0.5, maxOrder: 0 })),
    );
    expect(refusal(() => look(PAGE, PAGE))).toBe("EINVAL@query");
    expect(findings()[0]).toMatch(/a frame of/);
  });

  it("what is true is let through: an order that reaches before what was asked for", () => {
    const { look, findings } = scene(
      contract,
      frames((pgoff) => ({ pfn: addr(0x100 + pgoff), maxOrder: 2 })),
    );
    expect(look(2 * PAGE, PAGE)).toMatchObject([{ offset: 0, sizeBytes: SIZE_BYTES, address: 0x100000 }]);
    expect(findings()).toEqual([]);
  });
});

describe("what changes", () => {
  const moving = (contract: Contract) => {
    let base = 0x100;
    const made = scene(
      contract,
      frames((pgoff) => ({ pfn: addr(base + pgoff), maxOrder: 0 })),
    );
    return { ...made, move: (to: number) => void (base = to) };
  };

  it.each([pfn, pfnLocked])("without a word is a lie, under $id, and what was true still is", (contract) => {
    const { look, move, findings } = moving(contract);
    look(3 * PAGE, PAGE);
    move(0x200);
    expect(refusal(() => look())).toBe("EINVAL@query");
    expect(findings()).toEqual([expect.stringMatching(/^exporter: liar: offset 0x3000 was at 0x103000 .*0x203000/)]);
    // What was refused is not held against it: it is where it always was.
    move(0x100);
    expect(look()).toMatchObject([{ address: 0x100000 }, {}, {}, {}]);
    expect(findings()).toHaveLength(1);
  });

  it.each([pfn, pfnLocked])("after it was told is none, under $id", (contract) => {
    const { look, move, invalidate, findings } = moving(contract);
    look();
    move(0x200);
    invalidate();
    expect(look()).toMatchObject([{ address: 0x200000 }, {}, {}, {}]);
    expect(findings()).toEqual([]);
  });

  it("in a CPU mapping is never compared: its notifier comes later", () => {
    let base = 0x100;
    const fault = (page: number) => ({ pfn: addr<never>(base + page), maxOrder: 0 });
    const { look, findings } = scene(vma, { mmap: (_buf, area) => void (area.fault = fault) });
    look();
    base = 0x200;
    expect(look()).toMatchObject([{ address: 0x200000 }, {}, {}, {}]);
    expect(findings()).toEqual([]);
  });

  it("between two looks at one mapping is a lie, and the mapping stays, since some of it is in use", () => {
    let address = 0x10000;
    const runs = {
      *[Symbol.iterator]() {
        yield at(0, SIZE_BYTES, address);
      },
    }; // prettier-ignore
    const { look, findings, attachment, close } = scene(
      dmaAddress,
      maps(() => runs),
    );
    look(0, PAGE);
    address = 0x20000;
    expect(refusal(() => look(PAGE, PAGE))).toBe("EINVAL@map");
    expect([findings().length, attachment.liveMaps]).toEqual([1, 1]);
    close();
    expect(attachment.liveMaps).toBe(0);
  });

  it("while it is asked without the reservation is the importer's to see: no lie, in any order", () => {
    const found = explore(
      (scheduler) => {
        let base = 0x100;
        const told = frames((pgoff) => ({ pfn: addr(base + pgoff), maxOrder: 0 }));
        const { buf, fw, ask, look, findings } = scene(pfn, told, SIZE_BYTES, scheduler);
        scheduler.spawn("importer", ask(0, SIZE_BYTES));
        scheduler.spawn(
          "exporter",
          (function* (): Op<void> {
            using held = yield* buf.resv.lock();
            base = 0x200;
            yield* fw.invalidate(buf, held);
          })(),
        );
        scheduler.run();
        return look()[0]?.address === 0x200000 ? findings() : ["the old place"];
      },
      { badness: (said) => said.length },
    );
    expect([found.kind, found.worst.result]).toEqual(["exhausted", []]);
    expect(found.explored).toBeGreaterThan(10);
  });

  it("inside its own answer, reservation held: it is asked again, and what it says then holds for all pages", () => {
    let base = 0x100;
    const made = scene(pfnLocked, {
      *getPfn({ buf }, pgoff, held) {
        if (pgoff === 2 && base === 0x100) {
          base = 0x200;
          yield* made.fw.invalidate(buf, held);
        }
        return { pfn: addr<never>(base + pgoff), maxOrder: 0 };
      },
    });
    expect(made.look().map((run) => run.address)).toEqual([0x200000, 0x201000, 0x202000, 0x203000]);
    expect(made.findings()).toEqual([]);
  });

  it("in each of its answers, asked without the reservation, is the importer's to retry: no lie", () => {
    function* fault(page: number): Op<PfnAnswer> {
      using held = yield* made.buf.resv.lock();
      yield* made.fw.invalidate(made.buf, held);
      return { pfn: addr(0x100 + page), maxOrder: 0 };
    }
    const made = scene(vma, { mmap: (_buf, area) => void (area.fault = fault) });
    expect(made.look()).toHaveLength(4);
    expect(made.findings()).toEqual([]);
  });

  it("in each of its answers is a lie", () => {
    const made = scene(pfnLocked, {
      *getPfn({ buf }, pgoff, held) {
        yield* made.fw.invalidate(buf, held);
        return { pfn: addr<never>(0x100 + pgoff), maxOrder: 0 };
      },
    });
    expect(refusal(() => made.look())).toBe("EINVAL@query");
    expect(made.findings()).toEqual(["exporter: liar: tells to stop in each of 3 answers"]);
  });
});

describe("an exporter that does not answer as it must", () => {
  it("throws what is no refusal: refused, and booked once, by the core", () => {
    const { look, findings, attachment } = scene(linux73, {
      mapDmaBuf() {
        throw new TypeError("undefined is no function");
      },
    });
    expect(refusal(() => look())).toBe("EINVAL@map");
    expect(findings()).toEqual(["exporter: liar threw: TypeError: undefined is no function"]);
    expect(attachment.liveMaps).toBe(0);
  });

  it("throws in its fault handler, where the core does not look: refused, and booked here", () => {
    const { look, findings } = scene(vma, {
      mmap(_buf, area) {
        area.fault = () => {
          throw new TypeError("undefined is no function");
        };
      },
    });
    expect(refusal(() => look())).toMatch(/^EINVAL@/);
    expect(findings()).toEqual(["exporter: liar: throws TypeError: undefined is no function"]);
  });

  it("throws while something else of it is booked: both are", () => {
    const { fw, look, findings } = scene(vma, {
      mmap(_buf, area) {
        area.fault = () => {
          fw.report("violation", "mmap", "exporter", "something else");
          throw new TypeError("undefined is no function");
        };
      },
    });
    expect(refusal(() => look())).toMatch(/^EINVAL@/);
    expect(findings()).toEqual([
      "exporter: something else",
      "exporter: liar: throws TypeError: undefined is no function",
    ]);
  });

  it("refuses: that goes on, and is no finding", () => {
    const { look, findings } = scene(linux73, {
      mapDmaBuf() {
        throw new DmaBufError("ENODEV", { op: "x", stage: "map", message: "revoked" });
      },
    });
    expect(refusal(() => look())).toBe("ENODEV@map");
    expect(findings()).toEqual([]);
  });

  it("answers with a Promise: the task ends, as the core has it, and the finding has the exporter's name", () => {
    const { look, findings } = scene(linux73, { mapDmaBuf: (async () => ({ runs: [] })) as never });
    expect(() => look()).toThrow("returned a Promise");
    expect(findings()).toEqual([
      expect.stringContaining("exporter: mapDmaBuf returned a Promise"),
      expect.stringMatching(/^exporter: liar: .*returned a Promise/),
    ]);
  });

  it("never answers: the wait has its name, and who is ended gives back the lock", () => {
    let ended = false;
    const { scheduler, ask, buf, findings } = scene(linux73, {
      *mapDmaBuf() {
        try {
          yield* until("hardware", () => false);
        } finally {
          ended = true;
        }
        return { runs: [] };
      },
    });
    scheduler.spawn("importer", ask(0, PAGE));
    expect(scheduler.run()).toMatchObject({
      kind: "deadlock",
      waits: [{ blockedOn: "an answer of liar, which waits for a condition nobody fulfils" }],
    });
    expect(findings()).toEqual([expect.stringContaining("an answer of liar")]);
    expect([ended, buf.resv.locked]).toEqual([true, false]);
  });

  it("never gets as far as its fence: who is ended gives the mapping back", () => {
    const { scheduler, fw, buf } = scene(
      linux73,
      maps(() => [at(0, SIZE_BYTES, 0x10000)]),
    );
    const never = new DmaFence(fw.env, { driverName: () => "liar", timelineName: () => "copies" }, 1, 1);
    function* use(): Op<void> {
      const attachment = yield* fw.staticAttach(buf, new RecordingHost().device, "static");
      const window = yield* checkedWindow(fw, attachment, "bidirectional");
      using held = yield* buf.resv.lock();
      buf.resv.reserveFences(held, 1);
      buf.resv.addFence(held, never, Usage.KERNEL);
      yield* window.runs(0, PAGE, held);
    }
    scheduler.spawn("importer", use());
    expect(scheduler.run().kind).toBe("deadlock");
    expect(fw.ledger).toMatchObject({ mappings: 0, pins: 0 });
    expect(buf.resv.locked).toBe(false);
  });

  it("is not blamed for who asks without the reservation", () => {
    const { scheduler, fw, attachment, findings } = scene(
      linux73,
      maps(() => [at(0, SIZE_BYTES, 0x10000)]),
    );
    const op = (function* (): Op<void> {
      const window = yield* checkedWindow(fw, attachment, "bidirectional");
      yield* window.runs(0, PAGE, null);
    })();
    expect(() => scheduler.complete("importer", op)).toThrow("needs the reservation");
    expect(findings()).toEqual([]);
  });
});
