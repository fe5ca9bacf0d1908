/** The kit under test: what keeps the rules passes under every contract, and each broken plugin fails its rule alone. */
import {
  addr,
  contracts,
  type Contract,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type Held,
  linux73,
  type Op,
  pfn,
  pfnLocked,
  type PhysAddr,
  point,
  type Run,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { check, conformance } from "./check.js";
import { referenceExporter } from "./reference-exporter.js";
import type { RecordingHost } from "./recording-host.js";
import type { ExporterCapability, ExporterSubject, ImporterSubject } from "./subject.js";
import { exporterOf, failing, importerOf, Plain } from "./testing.js";

for (const contract of contracts) {
  conformance({ describe, it }, exporterOf(contract));
  conformance({ describe, it }, importerOf(contract));
}

describe("a broken plugin fails exactly the requirement it breaks", () => {
  const one = { runs: [] as Run[] };
  const dmaRun = (at: DmaBufAttachment): Run => ({
    kind: "dma",
    offset: 0,
    sizeBytes: 16384,
    address: at.device?.dma.mapPhys(0x100000 as never, 16384, "bidirectional", { mmio: true }) as never,
  });
  const broken: [string, ExporterSubject | ImporterSubject, string][] = [
    [
      "an exporter that hands out one table twice",
      exporterOf(linux73, ({ revoked }) => ({
        mapDmaBuf(at) {
          if (revoked()) throw new DmaBufError("ENODEV", { op: "x", stage: "map", message: "revoked" });
          if (one.runs.length === 0) one.runs.push(dmaRun(at));
          return one;
        },
        unmapDmaBuf(at) {
          const run = at.liveMaps === 1 ? one.runs.pop() : undefined;
          if (run?.kind === "dma") at.device?.dma.unmapPhys(run.address, run.sizeBytes);
        },
      })),
      "linux-7.3/map_dma_buf",
    ],
    [
      "one that keeps the DMA mapping at unmap",
      exporterOf(linux73, () => ({ unmapDmaBuf() {} })),
      "linux-7.3/unmap_dma_buf",
    ],
    [
      "one with an async attach",
      exporterOf(linux73, () => ({ attach: (async () => {}) as never })),
      "linux-7.3/attach",
    ],
    [
      "one that comes back from detach holding the lock",
      exporterOf(linux73, () => ({
        *detach(at) {
          yield* at.buf.resv.lock();
        },
      })),
      "linux-7.3/detach",
    ],
    [
      "one that pins without unpin",
      exporterOf(linux73, () => ({ unpin: undefined }) as never),
      "linux-7.3/dma_buf_export",
    ],
    [
      "one whose order promises too much",
      exporterOf(pfn, ({ revoked }) => ({
        getPfn(_at, pgoff) {
          if (revoked()) throw new DmaBufError("ENODEV", { op: "x", stage: "query", message: "revoked" });
          if (![0, 1, 2, 3].includes(pgoff))
            throw new DmaBufError("EINVAL", { op: "x", stage: "query", message: "beyond" });
          return { pfn: (0x101 + pgoff * 3) as never, maxOrder: pgoff === 1 ? 1 : 0 };
        },
      })),
      "pfn/get_pfn",
    ],
    [
      "one with a kernel mapping that it does not declare",
      exporterOf(linux73, () => ({ vmap: () => ({ address: 1, isIomem: false }), vunmap() {} })),
      "linux-7.3/vmap",
    ],
    [
      "one that answers begin_cpu_access with an errno of its own",
      exporterOf(linux73, () => ({
        beginCpuAccess() {
          throw new DmaBufError("ENODEV", { op: "x", stage: "cpu-access", message: "no" });
        },
      })),
      "linux-7.3/begin_cpu_access",
    ],
    [
      "one that revokes and tells nobody",
      exporterOf(linux73, undefined, {
        capabilities: ["map", "pin", "static", "mmap", "revoke"],
        create(fw) {
          let revoked = false;
          const no = () => {
            throw new DmaBufError("ENODEV", { op: "x", stage: "map", message: "revoked" });
          };
          return {
            export: () => referenceExporter(fw, { mapDmaBuf: (at) => (revoked ? no() : { runs: [dmaRun(at)] }) }).buf,
            *revoke() {
              revoked = true;
            },
            *restore() {
              revoked = false;
            },
          };
        },
      }),
      "linux-7.3/dma_buf_invalidate_mappings",
    ],
    [
      "one that declares revoke and has none",
      exporterOf(linux73, undefined, {
        capabilities: ["map", "pin", "static", "mmap", "revoke"],
        create: (fw) => ({ export: () => referenceExporter(fw).buf }),
      }),
      "linux-7.3/dma_buf_invalidate_mappings",
    ],
    [
      "one that revokes and does not declare it",
      exporterOf(linux73, undefined, { capabilities: ["map", "pin", "static", "mmap", "move"] }),
      "linux-7.3/dma_buf_invalidate_mappings",
    ],
    [
      "one with page frames that it does not declare",
      exporterOf(pfn, undefined, { capabilities: ["map", "pin", "static", "mmap", "revoke", "move"] }),
      "pfn/get_pfn",
    ],
    [
      "an importer that brings the callback and does not declare it",
      { ...importerOf(linux73), capabilities: ["peer2peer"] },
      "linux-7.3/dma_buf_dynamic_attach",
    ],
    [
      "an importer that ignores the invalidate",
      importerOf(
        linux73,
        class extends Plain {
          override *dropped(): Op<void> {}
        },
      ),
      "linux-7.3/invalidate_mappings",
    ],
    [
      "one that detaches still mapped",
      importerOf(
        linux73,
        class extends Plain {
          override *closed(): Op<void> {}
        },
      ),
      "linux-7.3/dma_buf_detach",
    ],
    [
      "one that never detaches",
      importerOf(
        linux73,
        class extends Plain {
          override *detach(): Op<void> {}
        },
      ),
      "linux-7.3/dma_buf_detach",
    ],
    ["one that forgets its reference", importerOf(linux73, Plain, false), "linux-7.3/dma_buf_put"],
    [
      "one that takes the lock inside the query",
      importerOf(
        pfn,
        class extends Plain {
          override *use(): Op<void> {
            using _held: Held & Disposable = yield* this.attachment.buf.resv.lock();
            yield* super.use();
          }
        },
      ),
      "pfn/dma_buf_get_pfn_unlocked",
    ],
  ];
  it.each(broken)("%s", (_name, subject, requirement) => expect(failing(subject)).toEqual([requirement]));
});

it("an importer that does not look again before it installs is caught by the race, in the order that shows it", () => {
  class NoRetry extends Plain {
    protected override readonly retries: boolean = false;
  }
  expect(failing(importerOf(pfn, NoRetry))).toEqual(["pfn/move_notify"]);
});

describe("a plugin that can less, and says so, passes", () => {
  const only = (contract: Contract, capabilities: ExporterCapability[], without: (keyof DmaBufOps)[], more = {}) =>
    exporterOf(contract, () => ({ ...Object.fromEntries(without.map((call) => [call, undefined])), ...more }), {
      capabilities,
    });
  it.each([pfn, pfnLocked])("page frames alone: $id", (contract) => {
    expect(
      failing(only(contract, ["get_pfn", "revoke", "move"], ["mapDmaBuf", "unmapDmaBuf", "pin", "unpin", "mmap"])),
    ).toEqual([]);
  });
  it.each([pfn, pfnLocked])("maps alone: $id", (contract) => {
    const cases = check(only(contract, ["map", "pin", "static", "mmap", "revoke", "move"], ["getPfn"]));
    expect(cases.flatMap(({ breaches }) => breaches)).toEqual([]);
    expect(cases.find(({ requirement }) => requirement.endsWith("/zap"))?.title).toMatch(/orders, all tried/);
  });
  it("a kernel mapping that refuses", () => {
    const vmap = () => {
      throw new DmaBufError("ENOMEM", { op: "x", stage: "cpu-access", message: "no room" });
    };
    expect(
      failing(only(linux73, ["map", "pin", "static", "mmap", "revoke", "move"], [], { vmap, vunmap() {} })),
    ).toEqual([]);
  });
});

it("an importer that keeps page tables or DMA mappings fails at detach", () => {
  const leaking = (leak: (host: RecordingHost) => void): ImporterSubject => {
    const subject = importerOf(linux73);
    return {
      ...subject,
      create(fw, host) {
        const under = subject.create(fw, host);
        return {
          ...under,
          *use() {
            leak(host);
            yield* under.use();
          },
        };
      },
    };
  };
  const leaks = [
    leaking((host) => void host.tables.allocTable()),
    leaking((host) => void host.device.dma.mapPhys(addr<PhysAddr>(4096), 4096, "to-device", { mmio: false })),
  ];
  for (const subject of leaks) expect(failing(subject)).toEqual(["linux-7.3/dma_buf_detach"]);
});

it("a race too long to be tried whole is tried at random too, and says so", () => {
  class Long extends Plain {
    override *use(): Op<void> {
      yield* super.use();
      for (let i = 0; i < 40; i++) yield* point("flush");
    }
  }
  class LongNoRetry extends Long {
    protected override readonly retries: boolean = false;
  }
  expect(failing(importerOf(pfn, LongNoRetry))).toEqual(["pfn/move_notify"]);
  const [race] = check(importerOf(pfn, Long)).filter((c) => c.requirement === "pfn/move_notify");
  expect([race?.breaches, race?.title]).toEqual([
    [],
    expect.stringMatching(/\d+ orders in turn and \d+ at random, not all/),
  ]);
  const [whole] = check(importerOf(pfn)).filter((c) => c.requirement === "pfn/move_notify");
  expect(whole?.title).toMatch(/\d+ orders, all tried/);
});

it("has no case for what a plugin of its kind cannot break", () => {
  const asked = (subject: ExporterSubject | ImporterSubject) => check(subject).map((c) => c.requirement.split("/")[1]);
  const [exporter, importer] = [asked(exporterOf(linux73)), asked(importerOf(linux73))];
  expect(exporter).not.toContain("dma_buf_poll");
  expect(exporter).not.toContain("dma_buf_map_attachment");
  expect(importer).toEqual(expect.arrayContaining(["dma_buf_map_attachment", "dma_buf_detach"]));
  expect(importer).not.toContain("vmap");
});

it("binding throws with every way in which a requirement was broken", () => {
  const bodies: (() => void)[] = [];
  const runner = {
    describe: (_n: string, body: () => void) => body(),
    it: (_n: string, body: () => void) => void bodies.push(body),
  };
  conformance(
    runner,
    exporterOf(linux73, () => ({ unmapDmaBuf() {} })),
  );
  const errors = bodies.flatMap((body) => {
    try {
      body();
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
  expect(errors).toEqual([expect.stringMatching(/^reference exporter breaks linux-7.3\/unmap_dma_buf: 1 DMA mapping/)]);
  expect(bodies.length).toBe(check(exporterOf(linux73)).length);
});
