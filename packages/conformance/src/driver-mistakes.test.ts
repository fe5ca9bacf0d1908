/** The kit under test: mistakes that a driver's author would make, each seen under the requirement that it breaks. */
import { addr, type DmaAddr, linux73, pfn, pfnLocked, type Pfn } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { frames, refuse, telling } from "./breaking.js";
import { check } from "./check.js";
import { driverOf, SIZE_BYTES } from "./driver.js";
import type { ExporterSubject } from "./subject.js";
import { exporterOf, importerOf, still, verdict } from "./testing.js";

const under = (requirement: string): string => `linux-7.3/${requirement}`;
const orders = (...classes: string[]): string[] =>
  classes.map((name) => `linux-7.3/dma_buf_invalidate_mappings/${name}`);

it("the driver by the book passes", () => expect(verdict(driverOf(linux73)).said).toBe(""));

it("one that tells importers at a restore too passes", () => {
  expect(verdict(driverOf(linux73, { restore: ["alloc", "unmark", "lock", "invalidate", "unlock"] })).said).toBe("");
});

describe("a driver that does a step too early, too late or not at all", () => {
  const rows: [string, ExporterSubject, string[], RegExp][] = [
    [
      "copies before it tells anybody",
      driverOf(linux73, { move: ["lock", "copy", "invalidate", "fences", "unlock"] }),
      orders("zap", "fenced", "faulting", "pinned-revocable", "zap+fenced"),
      /STALE: an access of the zap importer reaches 0x100000, which was freed/,
    ],
    [
      "copies before the fences have signalled",
      driverOf(linux73, { move: ["lock", "invalidate", "copy", "fences", "unlock"] }),
      orders("fenced", "zap+fenced"),
      /STALE: an access of the fenced importer reaches 0x100000, which was freed/,
    ],
    [
      "gives the reservation back before it copies",
      driverOf(linux73, { move: ["lock", "invalidate", "fences", "unlock", "pause", "copy"] }),
      orders("zap", "fenced", "faulting", "pinned-revocable", "zap+fenced"),
      /STALE: an access of the zap importer reaches 0x100000, which was freed/,
    ],
    [
      "waits for KERNEL fences alone, in a move",
      driverOf(linux73, { move: ["lock", "invalidate", "kernelFences", "copy", "unlock"] }),
      [...orders("fenced", "zap+fenced"), under("move-fence"), under("move-callback-fence")],
      /move\(\) returns although a fence in the reservation has not signalled/,
    ],
    [
      "waits for KERNEL fences alone, in a revoke",
      driverOf(linux73, { revoke: ["lock", "mark", "invalidate", "kernelFences", "unlock", "unmaps", "free"] }),
      [under("revoke-fence"), under("revoke-callback-fence")],
      /revoke\(\) returns although a fence in the reservation has not signalled/,
    ],
    [
      "waits for the fences before it tells anybody, in a move",
      driverOf(linux73, { move: ["lock", "fences", "invalidate", "copy", "unlock"] }),
      [under("move-callback-fence")],
      /move\(\) returns although the fence that a callback added has not signalled/,
    ],
    [
      "waits for the fences before it tells anybody, in a revoke",
      driverOf(linux73, { revoke: ["lock", "mark", "fences", "invalidate", "unlock", "unmaps", "free"] }),
      [under("revoke-callback-fence")],
      /revoke\(\) returns although the fence that a callback added has not signalled/,
    ],
    [
      "is revoked no more when it tells",
      driverOf(linux73, { revoke: ["lock", "mark", "unmark", "invalidate", "fences", "unlock", "unmaps"] }),
      [under("map_dma_buf")],
      /gives memory that is revoked/,
    ],
    [
      "says that it is revoked after it told everybody",
      driverOf(linux73, { revoke: ["lock", "invalidate", "fences", "unlock", "pause", "mark", "unmaps", "free"] }),
      [...orders("zap", "fenced", "faulting", "pinned-revocable", "zap+fenced"), under("map-in-callback")],
      /exporter waits at unmap for zap/,
    ],
    [
      "says that it is revoked after it told everybody, in the same step",
      driverOf(linux73, { revoke: ["lock", "invalidate", "mark", "fences", "unlock", "unmaps", "free"] }),
      [under("map-in-callback")],
      /revoke\(\) serves who asks in its callback, and does not tell it again/,
    ],
    [
      "waits for the unmaps of whom it never told",
      driverOf(linux73, { revoke: ["lock", "mark", "fences", "unlock", "unmaps", "free"] }),
      [under("dma_buf_invalidate_mappings")],
      /revoke\(\) waits for reference importer, and reference importer was never told/,
    ],
    [
      "never maps: it tells the CPU's address to a device",
      driverOf(linux73, {
        ops: (d) => ({
          mapDmaBuf: () =>
            d.gone
              ? refuse("ENODEV")
              : { runs: [{ kind: "dma", offset: 0, sizeBytes: SIZE_BYTES, address: addr<DmaAddr>(d.physical) }] },
          unmapDmaBuf() {},
        }),
      }),
      [under("map_dma_buf")],
      /FAULT: nothing is mapped at 0x100000, which was told as dma address/,
    ],
    [
      "maps all but the last page",
      driverOf(linux73, {
        ops: (d) => ({
          mapDmaBuf(at) {
            const { runs } = d.map(at, SIZE_BYTES - 4096);
            return { runs: [...runs].map((run) => ({ ...run, sizeBytes: SIZE_BYTES })) };
          },
          unmapDmaBuf(at, { runs }) {
            for (const { address } of runs) at.device?.dma.unmapPhys(addr<DmaAddr>(address), SIZE_BYTES - 4096);
          },
        }),
      }),
      [under("map_dma_buf")],
      /FAULT: nothing is mapped at 0x40003fff/,
    ],
    [
      "says that it is revoked when everybody has unmapped",
      driverOf(linux73, { revoke: ["lock", "invalidate", "fences", "unlock", "unmaps", "pause", "mark", "free"] }),
      [...orders("zap", "fenced", "faulting", "pinned-revocable", "zap+fenced"), under("map-in-callback")],
      /STALE: an access of the zap importer reaches 0x100000/,
    ],
    [
      "frees the tables before it tells",
      driverOf(linux73, { revoke: ["lock", "mark", "freeTables", "invalidate", "fences", "unlock", "unmaps"] }),
      [under("unmap_dma_buf")],
      /no such mapping; give back what was mapped/,
    ],
    [
      "frees the tables after it told",
      driverOf(linux73, {
        revoke: ["lock", "mark", "invalidate", "freeTables", "fences", "unlock", "unmaps"],
      }),
      [...orders("fenced", "zap+fenced"), under("kept-map"), under("second-map")],
      /FAULT: an access of the fenced importer finds nothing mapped at 0x40000000/,
    ],
    [
      "frees the memory before it is unmapped",
      driverOf(linux73, { revoke: ["lock", "mark", "invalidate", "fences", "unlock", "free"] }),
      [under("kept-map"), under("second-map")],
      /revoke\(\) returns although an importer still maps/,
    ],
    [
      "waits for unmaps with the reservation held",
      driverOf(linux73, { revoke: ["lock", "mark", "invalidate", "fences", "unmaps", "unlock", "free"] }),
      [...orders("fenced", "zap+fenced"), under("kept-map"), under("second-map")],
      /deadlock: importer waits at resv.lock for resv\(driver#0\), held by exporter/,
    ],
    [
      "tells the newest importer alone",
      driverOf(linux73, { revoke: ["lock", "mark", "invalidateNewest", "fences", "unlock", "unmaps", "free"] }),
      orders("zap+fenced"),
      /exporter waits at unmap for zap/,
    ],
    [
      "tells the newest importer alone, in a move",
      driverOf(linux73, { move: ["lock", "invalidateNewest", "fences", "copy", "unlock"] }),
      orders("zap+fenced"),
      /STALE: an access of the zap importer reaches 0x100000/,
    ],
    [
      "is restored and does not take its memory from the pool again",
      driverOf(linux73, { restore: ["unmark"] }),
      orders("zap", "fenced", "faulting", "pinned-revocable", "zap+fenced"),
      /STALE: an access of the zap importer reaches 0x100000, which was freed/,
    ],
    [
      "counts a map that failed",
      driverOf(linux73, {
        revoke: ["lock", "mark", "invalidate", "fences", "unlock", "counted", "free"],
        ops: (d) => ({
          mapDmaBuf(at) {
            d.maps++;
            const table = d.map(at);
            d.maps--;
            return table;
          },
        }),
      }),
      [under("map-in-callback"), under("no-mapping")],
      /mapping 1 \(dma_map_phys\) fails: linux-7.3\/deadlock/,
    ],
    [
      "unmaps what it would map now",
      driverOf(linux73, {
        ops: (d) => ({
          unmapDmaBuf(at, table) {
            if (d.tables.length > 0) d.unmap(at, d.tables.at(-1) ?? table);
          },
        }),
      }),
      orders("zap+fenced"),
      /FAULT: an access of the fenced importer/,
    ],
    [
      "maps a page too many",
      driverOf(linux73, { ops: (d) => ({ mapDmaBuf: (at) => d.map(at, SIZE_BYTES + 4096) }) }),
      [under("map_dma_buf")],
      /the runs cover 20480 of 16384 bytes/,
    ],
  ];
  it.each(rows)("%s", (_name, subject, failing, how) => {
    const found = verdict(subject);
    expect([found.failing, found.said]).toEqual([failing, expect.stringMatching(how)]);
  });
});

describe("a page that is told wrongly", () => {
  it("a CPU mapping that begins elsewhere shows the first page", () => {
    const subject = exporterOf(linux73, () => ({
      mmap: (_buf, vma) => void (vma.fault = (page) => ({ pfn: addr<Pfn>(0x100 + page), maxOrder: 0 })),
    }));
    const found = verdict(subject);
    expect(found.failing).toEqual([under("mmap")]);
    expect(found.said).toBe("the first page of a mapping from page 1 is frame 256, not 257: add vma.pgoff");
  });
  it("a frame is told behind the last page", () => {
    const subject = exporterOf(pfn, ({ revoked }) => ({
      getPfn: (_at, pgoff) => (revoked() ? refuse("ENODEV") : { pfn: addr<Pfn>(0x100 + pgoff), maxOrder: 0 }),
    }));
    expect(verdict(subject)).toEqual({
      failing: ["pfn/get_pfn"],
      said: expect.stringContaining("tells a frame for page 4, beyond the end"),
    });
  });
  it.each([-1, 0.5, NaN])("a frame is told for page %s", (page) => {
    const tells = [0, 1, 2, 3, page];
    const subject = exporterOf(pfn, ({ revoked }) => ({
      getPfn(_at, pgoff) {
        if (revoked()) refuse("ENODEV");
        if (!tells.includes(pgoff)) refuse("EINVAL");
        return { pfn: (0x100 + pgoff) as Pfn, maxOrder: 0 };
      },
    }));
    expect(verdict(subject)).toEqual({
      failing: ["pfn/get_pfn"],
      said: expect.stringContaining(`tells a frame for page ${page}`),
    });
  });
  it("the last frame's order reaches beyond the end", () => {
    const subject = exporterOf(pfn, ({ revoked }) => ({
      getPfn(_at, pgoff) {
        if (revoked()) refuse("ENODEV");
        if (![0, 1, 2, 3].includes(pgoff)) refuse("EINVAL");
        return { pfn: addr<Pfn>(0x100 + pgoff), maxOrder: 3 };
      },
    }));
    expect(verdict(subject).failing).toEqual(["pfn/get_pfn"]);
  });
});

it("a frame that is told in the callback of a revoke, and not taken back", () => {
  const subject = frames(pfnLocked, (s) => ({
    revoke: telling(
      s.made,
      () => {},
      function* (held) {
        s.gone = true;
        yield* s.made.fw.drain(s.made.buf, held);
      },
    ),
  }));
  expect(verdict(subject)).toEqual({
    failing: ["pfn-locked/frame-in-callback"],
    said: expect.stringContaining("serves who asks in its callback"),
  });
});

describe("a call that is async", () => {
  const asyncOf = (name: "export" | "revoke" | "restore" | "move"): ExporterSubject => {
    const subject = driverOf(linux73);
    return {
      ...subject,
      create: (fw, host) => ({ ...subject.create(fw, host), [name]: (async () => {}) as never }),
    };
  };
  it.each(["export", "revoke", "restore", "move"] as const)("%s()", (name) => {
    const found = verdict(asyncOf(name));
    expect(found).toEqual({
      failing: [under(name === "export" ? "dma_buf_export" : "dma_buf_invalidate_mappings")],
      said: `${name}() returned a Promise: return a generator`,
    });
  });
});

it("who never maps reads that no mapping was seen to fail, and that allocations are the core's too", () => {
  const titles = check(still(frames(pfn, () => ({})))).map(({ title }) => title);
  expect(titles).toContain("pfn/no-mapping: 0 mappings seen");
  expect(titles).toContainEqual(expect.stringMatching(/pfn\/no-memory: \d+ allocation\(s\), the core's among them/));
});

it("a search goes on for as many steps as it is told", () => {
  const titleOf = (stepsMax: number): string | undefined =>
    check(importerOf(pfn), { stepsMax }).find(({ requirement }) => requirement === "pfn/move_notify")?.title;
  expect(titleOf(10)).toMatch(/1 orders in turn and \d+ at random, not all/);
  expect(titleOf(Infinity)).toMatch(/all tried/);
});

it("an exporter's search does likewise", () => {
  const titles = check(driverOf(linux73), { stepsMax: 10 }).map(({ title }) => title);
  expect(titles.find((title) => title.includes("/zap: "))).toMatch(/1 orders in turn .*not all/);
});
