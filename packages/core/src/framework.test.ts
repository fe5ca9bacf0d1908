import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { addr, type Pfn } from "./address.js";
import { type Contract, defineContract, rowsOf } from "./contract.js";
import { contracts } from "./contracts/all.js";
import { dmaAddress } from "./contracts/dma-address.js";
import { linux73 } from "./contracts/linux-7.3.js";
import { pfn } from "./contracts/pfn.js";
import type { DmaBufAttachment, DmaBufAttachOps, DmaBufOps, SgTable } from "./dma-buf.js";
import { DmaBufError } from "./error.js";
import { explore } from "./explore.js";
import { BugSignal } from "./finding.js";
import { Framework } from "./framework.js";
import type { Device } from "./host.js";
import { type Op, point } from "./op.js";
import { Scheduler } from "./scheduler.js";
import { withRuns } from "./use.js";

const device = { name: "nic", spaces: [] } as unknown as Device;
const table = (): SgTable => ({ runs: [{ kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x1000) }] });
const maps: DmaBufOps = { mapDmaBuf: table, unmapDmaBuf() {}, release() {} };
/** A dynamic exporter: under 6.13, a static one would be mapped at attach for a dynamic importer. */
const moves: DmaBufOps = { ...maps, pin() {}, unpin() {} };
const asks: DmaBufOps = { getPfn: (_at, pgoff) => ({ pfn: addr<Pfn>(0x100 + pgoff), maxOrder: 0 }), release() {} };
const importer: DmaBufAttachOps = { allowPeer2peer: true, invalidateMappings() {} };

function kit(contract: Contract) {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract, scheduler });
  const complete = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const exported = (ops: DmaBufOps) => fw.export({ exporterName: "x", ops, sizeBytes: 16384, priv: {} });
  const attach = (
    buf: ReturnType<typeof exported>,
    dev: Device | null = device,
    ops: DmaBufAttachOps | null = importer,
  ) => complete(fw.dynamicAttach(buf, dev, { name: "imp", ops }));
  return { fw, scheduler, complete, exported, attach };
}

describe("export", () => {
  const { mapDmaBuf, unmapDmaBuf, release } = maps;
  const getPfn = asks.getPfn as NonNullable<DmaBufOps["getPfn"]>;
  const map = mapDmaBuf as NonNullable<DmaBufOps["mapDmaBuf"]>;
  const unmap = unmapDmaBuf as NonNullable<DmaBufOps["unmapDmaBuf"]>;
  const rel = release as NonNullable<DmaBufOps["release"]>;
  it.each<[string, DmaBufOps, string, string]>([
    ["map and unmap", { mapDmaBuf: map, unmapDmaBuf: unmap, release: rel }, "ok", "ok"],
    ["get_pfn alone", { getPfn, release: rel }, "EINVAL@export", "ok"],
    ["neither", { release: rel }, "EINVAL@export", "EINVAL@export"],
    ["map without unmap", { mapDmaBuf: map, release: rel }, "EINVAL@export", "EINVAL@export"],
    ["unmap without map", { unmapDmaBuf: unmap, getPfn, release: rel }, "EINVAL@export", "EINVAL@export"],
    ["no release", { mapDmaBuf: map, unmapDmaBuf: unmap }, "EINVAL@export", "EINVAL@export"],
    [
      "pin without unpin",
      { mapDmaBuf: map, unmapDmaBuf: unmap, release: rel, pin() {} },
      "EINVAL@export",
      "EINVAL@export",
    ],
    ["all three", { mapDmaBuf: map, unmapDmaBuf: unmap, getPfn, release: rel }, "ok", "ok"],
  ])("%s: 6.13 and the RFC", (_name, ops, base, rfc) => {
    for (const [contract, expected] of [
      [dmaAddress, base],
      [pfn, rfc],
    ] as const) {
      const { fw, exported } = kit(contract);
      expect(refusal(() => exported(ops))).toBe(expected);
      expect([fw.ledger.buffers, fw.findings.length]).toEqual(expected === "ok" ? [1, 0] : [0, 1]);
    }
  });

  it("wants priv", () => {
    const { fw } = kit(dmaAddress);
    const info = { exporterName: "x", ops: maps, sizeBytes: 1, priv: null as unknown as object };
    expect(refusal(() => fw.export(info))).toBe("EINVAL@export");
  });
});

describe("attach", () => {
  it.each<[string, Contract, DmaBufOps, string]>([
    ["6.13 wants a device", dmaAddress, maps, "EINVAL@attach"],
    ["the RFC wants one if the exporter maps", pfn, maps, "EINVAL@attach"],
    ["the RFC wants none if it does not", pfn, asks, "ok"],
  ])("%s", (_name, contract, ops, expected) => {
    const { fw, exported, attach } = kit(contract);
    const buf = exported(ops);
    const before = fw.ledger;
    expect(refusal(() => attach(buf, null))).toBe(expected);
    expect(fw.ledger).toEqual(expected === "ok" ? { ...before, attachments: 1 } : before);
    expect(fw.findings.map((f) => f.level)).toEqual(expected === "ok" ? [] : ["warn"]);
  });

  it("a dynamic importer brings the callback", () => {
    const { exported, attach } = kit(dmaAddress);
    expect(refusal(() => attach(exported(maps), device, { allowPeer2peer: true }))).toBe("EINVAL@attach");
  });

  it("the exporter's refusal leaves nothing", () => {
    const { fw, exported, attach } = kit(dmaAddress);
    const buf = exported({
      ...maps,
      attach() {
        throw new DmaBufError("EOPNOTSUPP", { op: "x", stage: "attach", message: "no" });
      },
    });
    const before = fw.ledger;
    expect(refusal(() => attach(buf))).toBe("EOPNOTSUPP@attach");
    expect(fw.ledger).toEqual(before);
  });

  it("a static importer of an exporter that pins is pinned and mapped at attach, until detach", () => {
    const log: string[] = [];
    const { fw, exported, attach, complete } = kit(dmaAddress);
    const buf = exported({
      ...maps,
      pin: () => void log.push("pin"),
      unpin: () => void log.push("unpin"),
      unmapDmaBuf: () => void log.push("unmap"),
    });
    const at = attach(buf, device, null);
    expect(at.liveMaps).toBe(1);
    complete(fw.detachAttachment(buf, at));
    expect(log).toEqual(["pin", "unmap", "unpin"]);
  });
});

describe("map, ask, invalidate", () => {
  it("counts maps; a detach with one live, and a map without the lock, are findings", () => {
    const { fw, exported, attach, complete } = kit(dmaAddress);
    const buf = exported(moves);
    const at = attach(buf);
    const dead = buf.resv.tryLock();
    dead?.[Symbol.dispose]();
    complete(fw.mapAttachment(at, "bidirectional", dead as never));
    expect(fw.findings.map((f) => f.requirement)).toEqual(["dma-address/dma_buf_map_attachment"]);
    complete(fw.detachAttachment(buf, at));
    expect(fw.findings.at(-1)).toMatchObject({ level: "violation", requirement: "dma-address/dma_buf_detach" });
  });

  it("an unmap gives back a map, once", () => {
    const { fw, exported, attach, complete } = kit(dmaAddress);
    const at = attach(exported(moves));
    const sgt = complete(fw.mapAttachmentUnlocked(at, "to-device"));
    complete(fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
    expect([at.liveMaps, fw.findings.length]).toEqual([0, 0]);
    complete(fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
    expect(fw.findings).toMatchObject([{ level: "violation" }]);
  });

  it("get_pfn: page offset in, page frame out; without the callback EINVAL", () => {
    const { fw, exported, attach, complete } = kit(pfn);
    expect(complete(fw.getPfnUnlocked(attach(exported(asks), null), 3))).toEqual({ pfn: 0x103, maxOrder: 0 });
    expect(refusal(() => complete(fw.getPfnUnlocked(attach(exported(maps)), 0)))).toBe("EINVAL@query");
  });

  it("get_pfn while holding the reservation is a finding, and then a hang with a name", () => {
    const { fw, scheduler, exported, attach } = kit(pfn);
    const at = attach(exported(asks), null);
    scheduler.spawn(
      "importer",
      (function* (): Op<void> {
        using _ = yield* at.buf.resv.lock();
        yield* fw.getPfnUnlocked(at, 0);
      })(),
    );
    expect(scheduler.run()).toMatchObject({
      kind: "deadlock",
      waits: [{ blockedOn: expect.stringContaining("held by importer") }],
    });
    expect(fw.findings.map((f) => f.requirement)).toEqual([
      "pfn/dma_buf_get_pfn_unlocked",
      "sync/dma_resv_lock",
      "pfn/deadlock",
    ]);
  });

  it("invalidate calls the newest attachment first and passes static ones over", () => {
    const log: string[] = [];
    const { fw, exported, complete } = kit(dmaAddress);
    const buf = exported(maps);
    const named = (name: string) => ({
      name,
      ops: { allowPeer2peer: true, invalidateMappings: () => void log.push(name) },
    });
    for (const name of ["first", "second"]) complete(fw.dynamicAttach(buf, device, named(name)));
    complete(fw.staticAttach(buf, device, "static"));
    complete(
      (function* (): Op<void> {
        using held = yield* buf.resv.lock();
        yield* fw.invalidate(buf, held);
      })(),
    );
    expect(log).toEqual(["second", "first"]);
  });
});

describe("references", () => {
  it("release runs once, at the last put; after it, use is a bug", () => {
    let released = 0;
    const { fw, exported, complete } = kit(dmaAddress);
    const buf = exported({ ...maps, release: () => void released++ });
    fw.get(buf);
    complete(fw.put(buf));
    expect(released).toBe(0);
    complete(fw.put(buf));
    expect([released, fw.ledger.buffers]).toEqual([1, 0]);
    expect(() => fw.get(buf)).toThrow(BugSignal);
    expect(fw.findings.at(-1)?.level).toBe("bug");
  });

  it("a callback that returns a Promise is a bug at once", () => {
    const { fw, exported, attach } = kit(dmaAddress);
    const buf = exported({ ...maps, attach: (async () => {}) as never });
    expect(() => attach(buf)).toThrow(BugSignal);
    expect(fw.findings).toMatchObject([{ level: "bug", requirement: "dma-address/attach" }]);
  });
});

describe("what an exporter's callback throws", () => {
  const boom = (): never => {
    throw new TypeError("boom");
  };
  const refused = (): never => {
    throw new DmaBufError("EINVAL", { op: "exporter", stage: "map", message: "told to" });
  };
  const whole = function* (fw: Framework, at: DmaBufAttachment): Op<void> {
    {
      using held = yield* at.buf.resv.lock();
      yield* fw.pinAttachment(at, held);
      const mapped = yield* fw.mapAttachment(at, "bidirectional", held);
      yield* fw.unmapAttachment(at, mapped, "bidirectional", held);
      yield* fw.unpinAttachment(at, held);
    }
    yield* fw.detachAttachment(at.buf, at);
  };

  it.each(["unmapDmaBuf", "unpin", "detach"] as const)("%s cannot refuse: a finding, and it is undone", (call) => {
    for (const thrown of [boom, refused]) {
      const { fw, exported, attach, complete } = kit(linux73);
      const at = attach(exported({ ...moves, [call]: thrown }));
      complete(whole(fw, at));
      expect(fw.findings).toMatchObject([{ party: "exporter", requirement: linux73.rows[call]?.id }]);
      expect(fw.findings[0]?.message).toMatch(/ threw: /);
      expect([at.liveMaps, at.pins, at.buf.attachments.length]).toEqual([0, 0, 0]);
    }
  });

  it.each(["attach", "pin", "mapDmaBuf"] as const)("%s: a finding, and who called is told", (call) => {
    const { fw, exported, attach, complete } = kit(linux73);
    expect(() => complete(whole(fw, attach(exported({ ...moves, [call]: boom }))))).toThrow("boom");
    expect(fw.findings[0]).toMatchObject({ party: "exporter", requirement: linux73.rows[call]?.id });
  });
});

describe("windows", () => {
  it("dma-address maps at first use, keeps it, drops it, maps again, and books what is no DMA address", () => {
    let mapped = 0;
    const { fw, exported, attach, complete } = kit(dmaAddress);
    const run = {
      kind: "cpu-physical" as const,
      offset: 0,
      sizeBytes: 4096,
      address: addr<never>(0x1000),
      attributes: null,
    };
    const at = attach(exported({ ...moves, mapDmaBuf: () => (mapped++, { runs: [run] }) }));
    const window = complete(fw.open(at, "bidirectional"));
    const see = () =>
      complete(
        withRuns(at, window, 0, 4096, function* (runs) {
          return runs.map((r) => r.kind);
        }),
      );
    expect([see(), see(), mapped]).toEqual([["cpu-physical"], ["cpu-physical"], 1]);
    expect(fw.findings[0]).toMatchObject({ party: "exporter", requirement: "dma-address/map_dma_buf" });
    complete(
      (function* (): Op<void> {
        using held = yield* at.buf.resv.lock();
        yield* window.drop(held);
      })(),
    );
    expect([see(), mapped, at.liveMaps]).toEqual([["cpu-physical"], 2, 1]);
    complete(window.close());
    expect(at.liveMaps).toBe(0);
  });

  it.each([
    [dmaAddress, moves, false],
    [pfn, asks, true],
  ] as const)("$id: can a revoke come between asking and installing?", (contract, ops, expected) => {
    const found = explore(
      (scheduler) => {
        const fw = new Framework({ contract, scheduler, trace: false });
        const buf = fw.export({ exporterName: "x", ops, sizeBytes: 4096, priv: {} });
        let revoked = false;
        let late = false;
        const at = scheduler.complete("setup", fw.dynamicAttach(buf, device, { name: "imp", ops: importer }));
        const window = scheduler.complete("setup", fw.open(at, "bidirectional"));
        scheduler.spawn(
          "importer",
          withRuns(at, window, 0, 4096, function* () {
            const before = revoked;
            yield* point("install");
            late = revoked && !before;
          }),
        );
        scheduler.spawn(
          "exporter",
          (function* (): Op<void> {
            using _ = yield* buf.resv.lock();
            revoked = true;
          })(),
        );
        scheduler.run();
        return late;
      },
      { badness: Number },
    );
    expect([found.kind, found.worst.result]).toEqual(["exhausted", expected]);
  });
});

describe("contracts", () => {
  it("every row of the framework is a method of it, and every method that takes a buffer has a row", () => {
    const rows = new Set(
      contracts.flatMap((c) => rowsOf(c).flatMap(([call, row]) => (row.party === "framework" ? [call] : []))),
    );
    const methods: string[] = [];
    for (let at = Framework.prototype as object; at !== Object.prototype; at = Object.getPrototypeOf(at) as object)
      methods.push(...Object.getOwnPropertyNames(at));
    expect([...rows].filter((call) => !methods.includes(call))).toEqual([]);
    // What the model has and the kernel has not, or what layers share.
    const own = ["constructor", "contract", "env", "ledger", "report", "error", "open"];
    const shared = ["rule", "refuse", "bug", "defect", "enter", "enterState", "ask", "settle", "event"];
    const more = ["isNull", "bridge", "unbridge", "drain", "munmap", "fput"];
    const known = [...rows, ...own, ...shared, ...more] as string[];
    expect(methods.filter((name) => !known.includes(name))).toEqual([]);
  });

  it.each(contracts)("$id: row ids are its own and unique, and pairs are mutual", ({ id, rows }) => {
    const ids = Object.values(rows).map((r) => r.id);
    expect(ids.filter((i) => !i.startsWith(`${id}/`))).toEqual([]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [call, row] of Object.entries(rows))
      if (row.pairedWith) expect(rows[row.pairedWith]?.pairedWith).toBe(call);
  });

  it("defineContract refuses to remove or change what is not there, and to add what is", () => {
    const define = (changes: object) => () => defineContract(dmaAddress, { id: "x", title: "x", ...changes });
    expect(define({ remove: ["getPfn"] })).toThrow(/removes getPfn/);
    expect(define({ change: { getPfn: {} } })).toThrow(/changes getPfn/);
    expect(define({ add: { release: pfn.rows.release } })).toThrow(/use change/);
    expect(define({ remove: ["pin", "unpin"] })().rows.pin).toBeUndefined();
  });
});

it("errors are recognised across copies of the package, by their brand", async () => {
  // A variable, so that the type checker does not look for the file with the query.
  const copy = "./error.js?copy";
  const other = (await import(copy)) as typeof import("./error.js");
  const error = new other.DmaBufError("EINVAL", { op: "x", stage: "map", message: "y" });
  expect([error instanceof DmaBufError, error.constructor === DmaBufError]).toEqual([true, false]);
  expect(error).toMatchObject({ code: "EINVAL", errno: -22, stage: "map" });
  expect(new RangeError("z") instanceof DmaBufError).toBe(false);
});
