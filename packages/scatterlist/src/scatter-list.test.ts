import { dmaAddress, Framework, Scheduler, withRuns } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ScatterList, SEGMENT_BYTES_MAX } from "./index.js";

const PAGE = 4096;
const DMA = { kind: "dma" } as const;

function listOf(segments: readonly (readonly [number, number])[], options = {}): ScatterList {
  const list = new ScatterList(DMA, options);
  for (const [address, size] of segments) list.append(address, size);
  return list;
}

/** Byte by byte, in units: what the list means. */
const meaning = (list: ScatterList): number[] =>
  [...list].flatMap((run) => Array.from({ length: run.sizeBytes }, (_, i) => run.address + i));

describe("append", () => {
  it("splits at the largest aligned length of 32 bits, and merges nothing", () => {
    const list = listOf([[PAGE, 2 * SEGMENT_BYTES_MAX + PAGE]]);
    expect([...list].map((r) => [r.offset, r.address, r.sizeBytes])).toEqual([
      [0, PAGE, SEGMENT_BYTES_MAX],
      [SEGMENT_BYTES_MAX, PAGE + SEGMENT_BYTES_MAX, SEGMENT_BYTES_MAX],
      [2 * SEGMENT_BYTES_MAX, PAGE + 2 * SEGMENT_BYTES_MAX, PAGE],
    ]);
    expect(
      listOf([
        [0, PAGE],
        [PAGE, PAGE],
      ]).length,
    ).toBe(2); // prettier-ignore
  });

  it.each([
    [-1, PAGE],
    [0, 0],
    [0, -PAGE],
    [0, 0.5],
    [Number.NaN, PAGE],
    [2 ** 53 - 1, PAGE],
  ])("refuses a segment at %d of %d bytes, and loses nothing", (address, size) => {
    const list = listOf([[0, PAGE]]);
    expect(() => list.append(address, size)).toThrow(`segment of ${size} bytes at ${address}`);
    expect([list.length, list.sizeBytes]).toEqual([1, PAGE]);
  });

  it.each([0, 2 ** 32, 1.5, Number.NaN])("refuses segments of at most %d bytes", (segmentBytesMax) => {
    expect(() => new ScatterList(DMA, { segmentBytesMax })).toThrow(`segmentBytesMax ${segmentBytesMax}`);
  });

  it("takes 12 bytes a segment and grows; 8 more once a byte is looked for", () => {
    const list = new ScatterList(DMA, { capacity: 0 });
    for (let i = 0; i < 1024; i++) list.append(2 * i * PAGE, PAGE);
    expect([list.length, list.memoryBytes, list.addresses.length, list.sizes.length]).toEqual([
      1024, 12_288, 1024, 1024,
    ]);
    for (const _run of list) break;
    expect(list.memoryBytes).toBe(12_288);
    list.indexOf(PAGE);
    expect(list.memoryBytes).toBe(20_480);
  });
});

describe("laws", () => {
  // Few addresses and small sizes, so that neighbours often touch.
  const segment = fc.tuple(fc.nat(12), fc.integer({ min: 1, max: 6 }));
  const any = fc.tuple(fc.array(segment, { maxLength: 12 }), fc.integer({ min: 1, max: 8 }));

  it("coalesce keeps every byte's address, and leaves no neighbours that could be one", () => {
    fc.assert(
      fc.property(any, ([segments, segmentBytesMax]) => {
        const list = listOf(segments, { segmentBytesMax });
        const merged = list.coalesce();
        expect(meaning(merged)).toEqual(meaning(list));
        expect([merged.sizeBytes, merged.coalesce().length]).toEqual([list.sizeBytes, merged.length]);
        const runs = [...merged];
        for (const [i, run] of runs.entries()) {
          const next = runs[i + 1];
          expect(run.sizeBytes).toBeLessThanOrEqual(segmentBytesMax);
          if (next?.address === run.address + run.sizeBytes)
            expect(run.sizeBytes + next.sizeBytes).toBeGreaterThan(segmentBytesMax);
        }
      }),
    );
  });

  it("indexOf, runAt and overlapping agree with counting bytes", () => {
    fc.assert(
      fc.property(any, fc.nat(80), fc.integer({ min: 1, max: 20 }), ([segments, segmentBytesMax], offset, size) => {
        const list = listOf(segments, { segmentBytesMax });
        const runs = [...list];
        const holds = (at: number) => runs.findIndex((r) => r.offset <= at && at < r.offset + r.sizeBytes);
        expect(list.indexOf(offset)).toBe(holds(offset));
        expect(runs.map((_, i) => list.runAt(i))).toEqual(runs);
        const touched = runs.filter((r) => r.offset < offset + size && offset < r.offset + r.sizeBytes);
        expect([...list.overlapping(offset, size)]).toEqual(touched);
      }),
    );
  });

  it("an append after a search is found", () => {
    const list = listOf([[0, PAGE]]);
    expect([list.indexOf(0), list.indexOf(PAGE)]).toEqual([0, -1]);
    list.append(8 * PAGE, PAGE);
    expect([list.indexOf(PAGE), list.runAt(1).address]).toEqual([1, 8 * PAGE]);
    expect(() => list.runAt(2)).toThrow("segment 2 of 2");
  });
});

it("is what an exporter maps with: the importer's window sees the part it asks for", () => {
  const scheduler = new Scheduler();
  const framework = new Framework({ contract: dmaAddress, scheduler });
  const runs = listOf(Array.from({ length: 16 }, (_, i) => [2 * i * PAGE, PAGE] as const));
  const ops = { mapDmaBuf: () => ({ runs }), unmapDmaBuf() {}, pin() {}, unpin() {}, release() {} };
  const buf = framework.export({ exporterName: "x", ops, sizeBytes: runs.sizeBytes, priv: {} });
  const importer = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings() {} } };
  const seen = scheduler.complete(
    "use",
    (function* () {
      const at = yield* framework.dynamicAttach(buf, { name: "nic", spaces: [] } as never, importer);
      const window = yield* framework.open(at, "to-device");
      const found = yield* withRuns(at, window, 3 * PAGE, 2 * PAGE, function* (part) {
        return part.map((run) => run.address);
      });
      yield* window.close();
      yield* framework.detachAttachment(buf, at);
      return found;
    })(),
  );
  expect([seen, framework.findings]).toEqual([[6 * PAGE, 8 * PAGE], []]);
});
