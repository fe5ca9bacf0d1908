/** The kit under test: orders, moves, failures and misbehaving importers. Each broken exporter fails what it breaks. */
import {
  addr,
  type DmaAddr,
  type DmaBufAttachment,
  dmaAddress,
  linux73,
  type Op,
  perform,
  pfn,
  type SgTable,
  until,
  Usage,
  vma,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { broken, frames, type Made, nothing, refuse, runsOf, telling } from "./breaking.js";
import { check } from "./check.js";
import { classesOf } from "./importers/classes.js";
import type { ExporterSubject } from "./subject.js";
import { exporterOf, still, verdict } from "./testing.js";

it.each([dmaAddress, linux73])("under $id, each class says how many orders were tried", (contract) => {
  const titles = check(exporterOf(contract)).map((c) => c.title);
  for (const name of classesOf(contract))
    expect(titles.find((t) => t.includes(`/${name}: `))).toMatch(/(\d+ orders, all tried.*){4}/);
});

it("a class is tried where the contract can make it right", () => {
  expect(classesOf(linux73)).toEqual(["zap", "fenced", "faulting", "pinned", "pinned-revocable", "static"]);
  expect(classesOf(dmaAddress)).not.toContain("pinned");
  expect(classesOf(vma)).toEqual(["zap", "faulting"]);
});

describe("an exporter that does not wait is found by what comes too late", () => {
  it("revoke() returns before the fences have signalled", () => {
    const subject = frames(pfn, (s) => ({ revoke: telling(s.made, () => void (s.gone = true), nothing) }));
    const found = verdict(subject);
    expect(found.failing).toEqual([
      "pfn/dma_buf_move_notify/fenced",
      "pfn/dma_buf_move_notify/zap+fenced",
      "pfn/revoke-fence",
      "pfn/revoke-callback-fence",
    ]);
    expect(found.said).toMatch(
      /pfn\/dma_buf_move_notify: STALE: an access of the fenced importer reaches 0x10[0-3]000/,
    );
    expect(found.said).toMatch(/revoke\(\) returns although a fence in the reservation has not signalled/);
  });
  it("move() returns before the fences have signalled", () => {
    const subject = frames(pfn, (s) => ({ move: telling(s.made, () => void (s.at += 4), nothing) }));
    const found = verdict(subject);
    expect(found.failing).toEqual([
      "pfn/dma_buf_move_notify/fenced",
      "pfn/dma_buf_move_notify/zap+fenced",
      "pfn/move-fence",
      "pfn/move-callback-fence",
    ]);
    expect(found.said).toMatch(/after move\(\) returned/);
  });
});

const pinned = ({ buf }: Made): boolean => buf.attachments.some((at) => at.pins > 0);
const mapped = ({ buf }: Made): string[] => buf.attachments.flatMap((at) => (at.liveMaps > 0 ? [at.importerName] : []));

it("a move that leaves what is pinned where it is, and says nothing, passes", () => {
  const subject = broken(linux73, (made) => ({
    under: {
      *move(): Op<void> {
        if (!pinned(made)) yield* made.reference.move();
      },
    },
  }));
  expect(verdict(subject).said).toBe("");
});

describe("a broken exporter fails what it breaks, and nothing else", () => {
  const rows: [string, ExporterSubject, string[], RegExp][] = [
    [
      "a move that tells nobody",
      broken(linux73, () => ({ under: { move: nothing } })),
      ["linux-7.3/dma_buf_invalidate_mappings"],
      /move\(\) does not invalidate/,
    ],
    [
      "a move after which the old place is told",
      broken(linux73, (made) => ({ under: { move: telling(made, () => {}, nothing) } })),
      ["linux-7.3/map_dma_buf"],
      /tells the old place/,
    ],
    [
      "a move that is not declared",
      exporterOf(linux73, undefined, { capabilities: ["map", "pin", "static", "mmap", "revoke"] }),
      ["linux-7.3/dma_buf_invalidate_mappings"],
      /move\(\) is there, undeclared/,
    ],
    [
      "a move of what is pinned that is refused with another errno",
      broken(linux73, (made) => ({
        under: {
          *move(): Op<void> {
            if (pinned(made)) refuse("EINVAL");
            yield* made.reference.move();
          },
        },
      })),
      ["linux-7.3/pin"],
      /refuses to move what is pinned with EINVAL: say EBUSY/,
    ],
    [
      "a move of what is pinned that throws what is no errno",
      broken(linux73, (made) => ({
        under: {
          *move(): Op<void> {
            if (pinned(made)) throw new TypeError("no place");
            yield* made.reference.move();
          },
        },
      })),
      ["linux-7.3/dma_buf_export"],
      /failed: TypeError: no place/,
    ],
    [
      "a move of what is pinned",
      broken(linux73, (made) => {
        let at = 0x100000;
        const runs = (to: DmaBufAttachment): SgTable => {
          if (made.reference.revoked) refuse("ENODEV");
          const address = to.device?.dma.mapPhys(addr(at), 16384, "bidirectional", { mmio: true }) as DmaAddr;
          return { runs: [{ kind: "dma", offset: 0, sizeBytes: 16384, address }] };
        };
        const move = telling(
          made,
          () => void (at += 16384),
          function* () {
            yield* made.buf.resv.waitTimeout(Usage.BOOKKEEP);
          },
        );
        return { ops: { mapDmaBuf: runs }, under: { move } };
      }),
      ["linux-7.3/pin"],
      /moves what is pinned/,
    ],
    [
      "a revoke that waits for nobody's unmap",
      broken(linux73, (made) => ({
        under: {
          revoke: telling(made, made.revoked, function* () {
            yield* made.buf.resv.waitTimeout(Usage.BOOKKEEP);
          }),
        },
        ops: made.ops,
      })),
      ["linux-7.3/kept-map", "linux-7.3/second-map"],
      /revoke\(\) returns although an importer still maps/,
    ],
    [
      "a revoke that waits and does not say for whom",
      broken(linux73, (made) => ({
        under: {
          revoke: telling(made, made.revoked, function* (held) {
            yield* made.buf.resv.waitTimeout(Usage.BOOKKEEP);
            held[Symbol.dispose]();
            yield* until("unmap", () => mapped(made).length === 0);
          }),
        },
        ops: made.ops,
      })),
      ["linux-7.3/kept-map", "linux-7.3/second-map"],
      /waits for a condition nobody fulfils: name who is awaited, blockedOn must contain "importer that lies"/,
    ],
    [
      "books that do not close",
      still(
        broken(linux73, () => {
          let pages = 0;
          return { ops: { attach: () => void pages++ }, under: { ledger: () => ({ pages }) } };
        }),
      ),
      ["linux-7.3/release"],
      /pages: \d+ where 0 were before the export/,
    ],
    [
      "a mapping that stays when the one after it fails",
      still(broken(linux73, (made) => ({ ops: { mapDmaBuf: (at) => runsOf(made, at, 2) } }))),
      ["linux-7.3/no-mapping"],
      /mapping \d+ \(dma_map_phys\) fails: linux-7.3\/unmap_dma_buf: 1 DMA mapping/,
    ],
    [
      "a mapping that stays when the table has no memory",
      still(
        broken(linux73, (made) => ({
          ops: {
            mapDmaBuf(at) {
              const table = runsOf(made, at, 1);
              made.fw.env.alloc({ id: "x", op: "sg_alloc_table", stage: "map", source: "x" });
              return table;
            },
          },
        })),
      ),
      ["linux-7.3/no-memory"],
      /allocation \d+ \(sg_alloc_table\) fails: linux-7.3\/unmap_dma_buf: \d+ DMA mapping/,
    ],
    [
      "callbacks called past the core, so that one that throws leaves the reservation held",
      frames(pfn, (s) => ({
        *revoke(): Op<void> {
          const { fw, buf } = s.made;
          if (buf.refs === 0) return;
          fw.get(buf);
          const held = yield* buf.resv.lock();
          s.gone = true;
          for (const at of buf.attachments) yield* perform(at.importer?.invalidateMappings?.(at, held));
          yield* fw.drain(buf, held);
          yield* fw.put(buf);
        },
      })),
      ["pfn/throwing-callback"],
      /callback 1 \(invalidate_mappings\) fails: .*comes back holding resv/,
    ],
    [
      "a release that throws when an importer left a map",
      still(
        broken(linux73, (made) => ({
          ops: {
            release() {
              if (made.host.liveMappings > 0) refuse("EBUSY");
            },
          },
        })),
      ),
      ["linux-7.3/left-map"],
      /release: .* threw: DmaBufError/,
    ],
  ];
  it.each(rows)("%s", (_name, subject, failing, how) => {
    const found = verdict(subject);
    expect([found.failing, found.said]).toEqual([failing, expect.stringMatching(how)]);
  });
});
