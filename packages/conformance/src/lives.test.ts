/** The kit under test: what only one kind of life of an exporter shows, and what is said of it, whole. */
import { type DmaBufAttachment, linux73, type Op, until, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { broken, type Made, refuse, telling } from "./breaking.js";
import { check } from "./check.js";
import { driverOf } from "./driver.js";
import { classesOf } from "./importers/classes.js";
import type { ExporterSubject } from "./subject.js";
import { exporterOf, still, verdict } from "./testing.js";

const ID = "linux-7.3";
const INVALIDATE = `${ID}/dma_buf_invalidate_mappings`;
const alone = classesOf(linux73).map((name) => `${INVALIDATE}/${name}`);
const alloc = ({ fw }: Pick<Made, "fw">, op: string): void =>
  fw.env.alloc({ id: "x", op, stage: "export", source: "x" });
const isPeer = (at: DmaBufAttachment): boolean => at.device?.spaces.some((s) => s.kind === "pci-bus") ?? false;

/** Waits for maps by name, and then trips over what it waited for. */
const failsAfterItWaited = broken(linux73, (made) => ({
  ops: made.ops,
  under: {
    revoke: telling(made, made.revoked, function* (held) {
      yield* made.buf.resv.waitTimeout(Usage.BOOKKEEP);
      held[Symbol.dispose]();
      const late = (): string[] => made.buf.attachments.flatMap((at) => (at.liveMaps > 0 ? [at.importerName] : []));
      const waits = late().length > 0;
      yield* until(
        "unmap",
        () => late().length === 0,
        () => late().join(),
      );
      if (waits) throw new TypeError("no table");
    }),
  },
}));

const trips = exporterOf(linux73, () => ({
  attach(at) {
    if (at.importer && !at.importer.invalidateMappings) throw new TypeError("no callback");
  },
}));

/** Made of a scratch mapping, which stays when the allocation behind it fails. */
function scratched(): ExporterSubject {
  const subject = exporterOf(linux73);
  return {
    ...subject,
    create(fw, host) {
      const { dma } = host.device;
      const scratch = dma.mapPhys(0x5000 as never, 4096, "bidirectional", { mmio: false });
      alloc({ fw }, "kzalloc");
      dma.unmapPhys(scratch, 4096);
      return subject.create(fw, host);
    },
  };
}

describe("an exporter that", () => {
  const rows: [string, ExporterSubject, string[], RegExp][] = [
    [
      "revokes by way of its first attachment, which may be none",
      broken(linux73, (made) => ({
        under: {
          *revoke(): Op<void> {
            if (made.buf.refs > 0) (made.buf.attachments[0] as DmaBufAttachment).importerName.trim();
            yield* made.reference.revoke();
          },
        },
      })),
      alone,
      /exporter fails: TypeError: .*; see the order/,
    ],
    [
      "fails after it waited for a map",
      failsAfterItWaited,
      [`${INVALIDATE}/fenced`, `${INVALIDATE}/zap+fenced`, `${ID}/kept-map`, `${ID}/second-map`],
      /revoke\(\) fails: TypeError: no table/,
    ],
    [
      "trips over an importer without the callback",
      trips,
      [`${INVALIDATE}/pinned`],
      /^linux-7.3\/attach: reference threw: TypeError: no callback$/,
    ],
    [
      "allocates where nothing may be refused",
      still(broken(linux73, (made) => ({ ops: { detach: () => alloc(made, "kmemdup") } }))),
      [`${ID}/no-memory`],
      /detach: reference threw: DmaBufError: .*ENOMEM/,
    ],
    [
      "releases once more what is gone",
      broken(linux73, (made) => ({
        under: {
          *revoke(): Op<void> {
            if (made.buf.refs === 0) made.buf.ops.release?.(made.buf);
            yield* made.reference.revoke();
          },
        },
      })),
      alone,
      /release: release is called after release; see the order/,
    ],
    [
      "serves nobody any more when an importer left a map",
      still(
        driverOf(linux73, {
          ops: (d) => ({
            mapDmaBuf: (at) =>
              d.maps > d.buf.attachments.reduce((sum, { liveMaps }) => sum + liveMaps, 0)
                ? refuse("ENODEV")
                : d.map(at),
          }),
        }),
      ),
      [`${ID}/left-map`],
      /^linux-7.3\/map_dma_buf: refuses every importer after one misbehaved$/,
    ],
    [
      "keeps a bounce buffer for a device on no bus",
      still(
        broken(linux73, () => {
          let buffers = 0;
          return {
            ops: { attach: (at) => void (isPeer(at) || buffers++) },
            under: { ledger: () => ({ "bounce buffers": buffers }) },
          };
        }),
      ),
      [`${ID}/no-peer`],
      /^linux-7.3\/release: bounce buffers: 1 where 0 were before the export: give back what was taken$/,
    ],
    [
      "refuses a device on no bus with an errno of its own, which is said once",
      still(exporterOf(linux73, () => ({ attach: (at) => void (isPeer(at) || refuse("EIO")) }))),
      [`${ID}/no-peer`],
      /^linux-7.3\/attach: throws DmaBufError: x: EIO.*$/,
    ],
    [
      "is made with a mapping that stays when the allocation behind it fails",
      still(scratched()),
      [`${ID}/no-memory`],
      /allocation 1 \(kzalloc\) fails: linux-7.3\/unmap_dma_buf: 1 DMA mapping\(s\) left/,
    ],
    [
      "is exported with a slip where there is no memory",
      still(
        broken(linux73, (made) => ({
          under: {
            export() {
              try {
                alloc(made, "kvmalloc");
              } catch {
                throw new TypeError("no pages");
              }
              return made.buf;
            },
          },
        })),
      ),
      [`${ID}/no-memory`],
      /allocation \d+ \(kvmalloc\) fails: linux-7.3\/dma_buf_export: failed: TypeError: no pages/,
    ],
    [
      "keeps a reference to its buffer",
      still(
        broken(linux73, (made) => ({
          under: {
            export() {
              made.fw.get(made.buf);
              return made.buf;
            },
          },
        })),
      ),
      [`${ID}/release`],
      /reference is not released at the last put\n1 buffer\(s\) left: put what was got/,
    ],
  ];
  it.each(rows)("%s", (_name, subject, failing, how) => {
    const found = verdict(subject);
    expect([found.failing, found.said]).toEqual([failing, expect.stringMatching(how)]);
  });
});

it("what is thrown and no errno is no refusal", () => {
  const titles = check(trips).map((c) => c.title);
  expect(titles.find((title) => title.startsWith(`${INVALIDATE}/pinned:`))).not.toMatch(/refused/);
});
