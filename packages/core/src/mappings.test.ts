/** What 6.13 and 7.3 do differently with an attachment, and the defects that the RFC was posted with. */
import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { defineContract } from "./contract.js";
import { annotatedAddress } from "./contracts/annotated-address.js";
import { dmaAddress } from "./contracts/dma-address.js";
import { linux73 } from "./contracts/linux-7.3.js";
import { pfn } from "./contracts/pfn.js";
import { pfnLocked } from "./contracts/pfn-locked.js";
import { vma } from "./contracts/vma.js";
import { addr, type Pfn } from "./address.js";
import type { DmaBufAttachOps, DmaBufOps } from "./dma-buf.js";
import { type Op, until } from "./op.js";
import { asks, device, importer, type Kit, kit, maps, moves, refuse, table } from "./testing.js";
import { BugSignal } from "./finding.js";
import { Framework } from "./framework.js";
import { explore } from "./explore.js";
import { Usage } from "./usage.js";

const logging = (log: string[], ops: DmaBufOps = moves): DmaBufOps => ({
  ...ops,
  pin: () => void log.push("pin"),
  unpin: () => void log.push("unpin"),
  mapDmaBuf: () => (log.push("map"), table()),
  unmapDmaBuf: () => void log.push("unmap"),
});
const mapOnce = (k: Kit, at: ReturnType<Kit["attach"]>) => {
  const sgt = k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
  k.complete(k.fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
};

describe("a static importer of an exporter that pins", () => {
  it.each([
    ["6.13: once, from attach to detach", dmaAddress, ["pin", "map", "attached", "unmap", "unpin"]],
    ["7.3: around each map", linux73, ["attached", "pin", "map", "unmap", "unpin", "pin", "map", "unmap", "unpin"]],
  ] as const)("%s", (_name, contract, expected) => {
    const log: string[] = [];
    const k = kit(contract);
    const buf = k.exported(logging(log));
    const at = k.attach(buf, device, null);
    log.push("attached");
    mapOnce(k, at);
    mapOnce(k, at);
    k.complete(k.fw.detachAttachment(buf, at));
    expect([log, k.fw.ledger.pins, k.fw.findings]).toEqual([expected, 0, []]);
  });

  it.each([
    [dmaAddress, "EBUSY@attach"],
    [linux73, "EBUSY@pin"],
  ] as const)("refused at the pin, nothing stays: $id", (contract, expected) => {
    const k = kit(contract);
    const buf = k.exported({ ...moves, pin: refuse("EBUSY", "pin") });
    const before = k.fw.ledger;
    let found = refusal(() => k.attach(buf, device, null));
    if (found === "ok") found = refusal(() => mapOnce(k, buf.attachments[0] as never));
    expect([found, k.fw.ledger.pins, k.fw.ledger.mappings]).toEqual([expected, before.pins, before.mappings]);
  });

  it("6.13 maps at attach for a dynamic importer of a static exporter too, and keeps that", () => {
    const log: string[] = [];
    const { pin: _p, unpin: _u, ...staticOps } = logging(log);
    const k = kit(dmaAddress);
    const buf = k.exported(staticOps);
    const at = k.attach(buf);
    mapOnce(k, at);
    mapOnce(k, at);
    expect(log).toEqual(["map"]);
    k.complete(k.fw.detachAttachment(buf, at));
    expect(log).toEqual(["map", "unmap"]);
  });

  it("without CONFIG_DMABUF_MOVE_NOTIFY, 6.13 pins at each map; 7.3 has no such option", () => {
    for (const [contract, expected] of [
      [dmaAddress, ["pin", "map", "unmap", "unpin"]],
      [linux73, ["map", "unmap"]],
    ] as const) {
      const log: string[] = [];
      const k = kit(contract, { moveNotify: false });
      mapOnce(k, k.attach(k.exported(logging(log))));
      expect(log).toEqual(expected);
    }
  });
});

describe("map", () => {
  it("a static importer waits for KERNEL fences; a dynamic one is on its own", () => {
    for (const [ops, expected] of [
      [null, "runnable"],
      [importer, "done"],
    ] as const) {
      const k = kit(linux73);
      const buf = k.exported(maps);
      const at = k.attach(buf, device, ops);
      const held = k.hold(buf.resv);
      buf.resv.reserveFences(held, 1);
      const fence = k.fence();
      buf.resv.addFence(held, fence, Usage.KERNEL);
      held[Symbol.dispose]();
      const task = k.scheduler.spawn("map", k.fw.mapAttachmentUnlocked(at, "to-device"));
      let seen = "";
      k.scheduler.spawn(
        "watch",
        (function* (): Op<void> {
          yield { site: "later", ready: () => false, deadline: 1 };
          seen = task.state;
          fence.signal();
        })(),
      );
      k.scheduler.run();
      expect([seen, task.state]).toEqual([expected, "done"]);
    }
  });

  it("a signal while waiting undoes the mapping and the pin", () => {
    const log: string[] = [];
    const k = kit(linux73);
    const buf = k.exported(logging(log));
    const at = k.attach(buf, device, null);
    const held = k.hold(buf.resv);
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, k.fence(), Usage.KERNEL);
    held[Symbol.dispose]();
    const task = k.scheduler.spawn("map", k.fw.mapAttachmentUnlocked(at, "to-device"));
    k.scheduler.signal(task);
    k.scheduler.run();
    expect([task.error, log, at.liveMaps, at.pins]).toMatchObject([
      { code: "ERESTARTSYS" },
      ["pin", "map", "unmap", "unpin"],
      0,
      0,
    ]);
  });

  it("who is ended while the exporter never answers holds no pin and no lock", () => {
    const log: string[] = [];
    const k = kit(linux73);
    const buf = k.exported({ ...logging(log), mapDmaBuf: () => until("hardware", () => false) as never });
    const at = k.attach(buf, device, null);
    k.scheduler.spawn("map", k.fw.mapAttachmentUnlocked(at, "to-device"));
    expect(k.scheduler.run().kind).toBe("deadlock");
    expect([log, at.liveMaps, at.pins, buf.resv.locked]).toEqual([["pin", "unpin"], 0, 0, false]);
  });

  it("with CONFIG_DMABUF_DEBUG the importer gets no pages, and the exporter gets its own table back", () => {
    const one = table();
    let back: unknown;
    const k = kit(linux73, { debug: true });
    const at = k.attach(k.exported({ ...maps, mapDmaBuf: () => one, unmapDmaBuf: (_a, t) => void (back = t) }));
    const sgt = k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
    expect([sgt.pages, sgt.runs, sgt === one]).toEqual([undefined, one.runs, false]);
    k.complete(k.fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
    expect([back, k.fw.findings]).toEqual([one, []]);
  });

  it("6.13 keeps the first mapping where the exporter asked for it, for its direction", () => {
    const k = kit(dmaAddress);
    let made = 0;
    const at = k.attach(
      k.exported({ ...maps, mapDmaBuf: () => (made++, table()), cacheSgtMapping: true }),
      device,
      null,
    );
    for (const _ of [1, 2]) mapOnce(k, at);
    expect([made, refusal(() => k.complete(k.fw.mapAttachmentUnlocked(at, "from-device")))]).toEqual([1, "EBUSY@map"]);
    expect(refusal(() => k.exported({ ...moves, cacheSgtMapping: true }))).toBe("EINVAL@export");
  });
});

describe("revoke", () => {
  it("waits for the fences, and under 7.3 for the unmap too; nobody is asked twice", () => {
    for (const [contract, expected] of [
      [dmaAddress, ["invalidated", "fences", "drained", "unmapped"]],
      [linux73, ["invalidated", "fences", "unmapped", "drained"]],
    ] as const) {
      const log: string[] = [];
      const k = kit(contract);
      const buf = k.exported(moves);
      const ops: DmaBufAttachOps = { allowPeer2peer: true, invalidateMappings: () => void log.push("invalidated") };
      const at = k.attach(buf, device, ops);
      const sgt = k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
      const fence = k.fence();
      k.scheduler.spawn(
        "exporter",
        (function* (): Op<void> {
          const held = yield* buf.resv.lock();
          buf.resv.reserveFences(held, 1);
          buf.resv.addFence(held, fence, Usage.BOOKKEEP);
          yield* k.fw.invalidate(buf, held);
          yield* k.fw.drain(buf, held);
          log.push("drained");
        })(),
      );
      k.scheduler.spawn(
        "importer",
        (function* (): Op<void> {
          yield { site: "later", ready: () => false, deadline: 1 };
          log.push("fences");
          fence.signal();
          yield { site: "later", ready: () => false, deadline: 2 };
          log.push("unmapped");
          yield* k.fw.unmapAttachmentUnlocked(at, sgt, "to-device");
        })(),
      );
      expect([k.scheduler.run().kind, log]).toEqual(["done", expected]);
    }
  });

  it("a callback that throws is a finding, and the next importer is told all the same", () => {
    const k = kit(linux73);
    const buf = k.exported(moves);
    const told: string[] = [];
    k.attach(buf, device, { allowPeer2peer: true, invalidateMappings: () => void told.push("older") });
    const broken = (): never => {
      throw new TypeError("not now");
    };
    k.attach(buf, device, { allowPeer2peer: true, invalidateMappings: broken });
    using held = k.hold(buf.resv);
    k.complete(k.fw.invalidate(buf, held));
    expect([told, k.fw.findings.map((f) => [f.level, f.requirement, f.party, f.message])]).toEqual([
      ["older"],
      [["violation", "linux-7.3/invalidate_mappings", "importer", expect.stringMatching(/threw: TypeError: not now/)]],
    ]);
  });

  it("one that runs into a BUG ends the exporter's task", () => {
    const k = kit(linux73);
    const buf = k.exported(moves);
    const bug = (): never => {
      throw new BugSignal("an oops");
    };
    k.attach(buf, device, { allowPeer2peer: true, invalidateMappings: bug });
    using held = k.hold(buf.resv);
    expect(() => k.complete(k.fw.invalidate(buf, held))).toThrow(/an oops/);
    expect(k.fw.findings).toEqual([]);
  });

  it("an importer that never unmaps: a hang that names it", () => {
    const k = kit(linux73);
    const buf = k.exported(moves);
    k.complete(k.fw.mapAttachmentUnlocked(k.attach(buf), "to-device"));
    k.scheduler.spawn("exporter", k.fw.drain(buf, k.hold(buf.resv)));
    expect(k.scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ blockedOn: "unmap by imp" }] });
  });

  it("revocable is who brought the callback", () => {
    const k = kit(linux73);
    const asked: boolean[] = [];
    const buf = k.exported({ ...maps, attach: (at) => void asked.push(k.fw.isRevocable(at)) });
    for (const ops of [importer, { allowPeer2peer: true }, null]) k.attach(buf, device, ops);
    expect(asked).toEqual([true, false, false]);
  });

  it("an invalidate between attach's callback and the list does not reach the importer", () => {
    const log: string[] = [];
    const k = kit(linux73);
    const buf = k.exported({
      ...maps,
      *attach(at) {
        using held = yield* at.buf.resv.lock();
        yield* k.fw.invalidate(at.buf, held);
      },
    });
    k.attach(buf, device, { allowPeer2peer: true, invalidateMappings: () => void log.push("told") });
    expect(log).toEqual([]);
  });
});

describe("callbacks", () => {
  it("one that comes back holding the reservation is a finding", () => {
    const k = kit(linux73);
    const buf = k.exported({
      ...maps,
      *attach(at) {
        yield* at.buf.resv.lock();
      },
    });
    k.scheduler.spawn("t", k.fw.dynamicAttach(buf, device, { name: "imp", ops: importer }));
    k.scheduler.run();
    expect(k.fw.findings[0]).toMatchObject({ requirement: "linux-7.3/attach", party: "exporter" });
  });

  it("only attach may change peer2peer, and only to false", () => {
    const k = kit(linux73);
    const buf = k.exported({ ...maps, attach: (at) => void (at.peer2peer = true) });
    const at = k.attach(buf, device, { allowPeer2peer: false });
    expect([at.peer2peer, k.fw.findings[0]]).toMatchObject([false, { requirement: "linux-7.3/attach" }]);
  });
});

describe("the RFC's defects, each a named finding; a contract without the defect behaves", () => {
  const fixed = defineContract(pfn, { id: "pfn-fixed", title: "pfn without its defects", defects: [] });
  it.each([
    [pfn, ["pfn/defect-pin-leak"], 0, 1],
    [fixed, [], 1, 0],
  ] as const)("pin leak: $id", (contract, findings, unpins, left) => {
    let unpinned = 0;
    const k = kit(contract);
    const buf = k.exported({ ...asks, pin() {}, unpin: () => void unpinned++ });
    const at = k.attach(buf, null, null);
    k.complete(k.fw.detachAttachment(buf, at));
    expect([k.fw.findings.map((f) => f.requirement).filter((r) => r.includes("defect")), unpinned, at.pins]).toEqual([
      findings,
      unpins,
      left,
    ]);
  });

  it("a NULL attachment is read before it is tested", () => {
    const ask = (contract: typeof pfn) => {
      const k = kit(contract);
      try {
        k.complete(k.fw.getPfnUnlocked(null as never, 0));
      } catch {
        // An oops, or EINVAL.
      }
      return k.fw.findings.map((f) => `${f.level} ${f.requirement}`);
    };
    expect(ask(pfn)).toEqual(["violation pfn/defect-null-attach", "bug pfn/dma_buf_get_pfn_unlocked"]);
    expect(ask(fixed)).toEqual(["warn pfn-fixed/dma_buf_get_pfn_unlocked"]);
  });

  it("the answer does not wait for a KERNEL fence", () => {
    const k = kit(pfn);
    const buf = k.exported(asks);
    const at = k.attach(buf, null);
    const held = k.hold(buf.resv);
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, k.fence(), Usage.KERNEL);
    held[Symbol.dispose]();
    k.complete(k.fw.getPfnUnlocked(at, 0));
    expect(k.fw.findings).toMatchObject([{ requirement: "pfn/defect-no-fence-wait" }]);
  });
});

describe("who needs a device", () => {
  it.each([
    [dmaAddress, maps, "EINVAL@attach"],
    [vma, { ...maps, mmap() {} }, "ok"],
    [pfn, maps, "EINVAL@attach"],
    [pfn, asks, "ok"],
    [pfnLocked, { ...maps, ...asks }, "ok"],
    [annotatedAddress, maps, "ok"],
    [linux73, maps, "EINVAL@attach"],
  ] as const)("$0.id", (contract, ops, expected) => {
    const k = kit(contract);
    expect(refusal(() => k.attach(k.exported(ops), null))).toBe(expected);
  });

  it("pfn-locked: to map, not to ask", () => {
    const k = kit(pfnLocked);
    const at = k.attach(k.exported({ ...maps, ...asks }), null);
    expect(refusal(() => k.complete(k.fw.mapAttachmentUnlocked(at, "to-device")))).toBe("EINVAL@map");
    const window = k.complete(k.fw.open(at, "to-device"));
    using held = k.hold(at.buf.resv);
    expect(k.complete(window.runs(4096, 8192, held)).map((r) => [r.kind, r.address])).toEqual([
      ["cpu-physical", 0x101000],
      ["cpu-physical", 0x102000],
    ]);
  });

  it("vma: the frames come from the fault handler, and the window holds a reference until it is closed", () => {
    const k = kit(vma);
    const buf = k.exported({
      ...maps,
      mmap: (_b, v) => void (v.fault = (page) => ({ pfn: addr<Pfn>(0x200 + page), maxOrder: 0 })),
    });
    const at = k.attach(buf, null);
    const window = k.complete(k.fw.open(at, "to-device"));
    expect([k.complete(window.runs(4096, 4096, null))[0]?.address, buf.refs]).toEqual([0x201000, 2]);
    k.complete(window.close());
    expect(buf.refs).toBe(1);
  });

  it("a frame that ends before the page that was asked for does not make the window ask for ever", () => {
    const k = kit(pfn);
    const asked: number[] = [];
    const getPfn = (_at: unknown, pgoff: number) => (
      asked.push(pgoff), { pfn: addr<Pfn>(0x200 + pgoff), maxOrder: -1 }
    );
    const window = k.complete(k.fw.open(k.attach(k.exported({ ...asks, getPfn })), "to-device"));
    expect(k.complete(window.runs(0, 16384, null))).toHaveLength(4);
    expect(asked).toEqual([0, 1, 2, 3]);
  });

  it("annotated-address: a run that says nothing of its space is a finding", () => {
    const k = kit(annotatedAddress);
    const run = {
      kind: "pci-bus",
      offset: 0,
      sizeBytes: 4096,
      address: addr(4096),
      bridge: {},
      attributes: { cache: "uc", snoop: false },
    } as never;
    for (const [runs, findings] of [
      [[run], 0],
      [table().runs, 1],
    ] as const) {
      const at = k.attach(k.exported({ ...maps, mapDmaBuf: () => ({ runs }) }));
      const window = k.complete(k.fw.open(at, "to-device"));
      using held = k.hold(at.buf.resv);
      k.complete(window.runs(0, 4096, held));
      expect(k.fw.findings).toHaveLength(findings);
    }
  });
});

it.each([
  ["7.3", linux73, importer],
  ["6.13, bridged", dmaAddress, null],
])(
  "two tasks that detach one attachment: one of them does, and the other's stays: %s",
  (_name, contract, importerOps) => {
    const found = explore(
      (scheduler) => {
        const fw = new Framework({ contract, scheduler, trace: false });
        let detached = 0;
        let pins = 0;
        const pin = { pin: () => void pins++, unpin: () => void pins-- };
        const ops = { ...maps, ...pin, detach: () => void detached++ };
        const buf = fw.export({ exporterName: "x", ops, sizeBytes: 4096, priv: {} });
        const attach = (name: string) =>
          scheduler.complete("attach", fw.dynamicAttach(buf, device, { name, ops: importerOps }));
        const [other, twice] = [attach("other"), attach("twice")];
        for (const name of ["first", "second"]) scheduler.spawn(name, fw.detachAttachment(buf, twice));
        scheduler.run();
        return { detached, left: buf.attachments.length, other: other.detached, pins };
      },
      {
        badness: ({ detached, left, pins }) =>
          Math.abs(detached - 1) + Math.abs(left - 1) + Math.abs(pins - (importerOps ? 0 : 1)),
      },
    );
    const pins = importerOps ? 0 : 1;
    expect([found.kind, found.worst.result]).toEqual(["exhausted", { detached: 1, left: 1, other: false, pins }]);
  },
);

it("what was leaked stays in the ledger; the RFC's own leak is not the importer's", () => {
  const k = kit(linux73);
  const at = k.attach(k.exported(moves));
  k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
  {
    using held = k.hold(at.buf.resv);
    k.complete(k.fw.pinAttachment(at, held));
  }
  k.complete(k.fw.detachAttachment(at.buf, at));
  k.complete(k.fw.put(at.buf));
  expect(k.fw.ledger).toEqual({ buffers: 0, references: 0, attachments: 0, mappings: 1, pins: 1, vmaps: 0 });

  const rfc = kit(pfn);
  const forgotten = rfc.attach(rfc.exported({ ...asks, pin() {}, unpin() {} }), null, null);
  rfc.complete(rfc.fw.detachAttachment(forgotten.buf, forgotten));
  expect([rfc.fw.ledger.pins, rfc.fw.findings.map((f) => f.requirement)]).toEqual([1, ["pfn/defect-pin-leak"]]);
});

it("after release every call is a bug, and no callback runs", () => {
  const k = kit(linux73);
  const called: string[] = [];
  const at = k.attach(k.exported({ ...moves, mapDmaBuf: () => (called.push("map"), table()) }));
  k.complete(k.fw.put(at.buf));
  const calls: (() => Op<unknown>)[] = [
    () => k.fw.mapAttachmentUnlocked(at, "to-device"),
    () => k.fw.beginAccess(at.buf, "to-device"),
    () => k.fw.vmapBufferUnlocked(at.buf),
    () => k.fw.detachAttachment(at.buf, at),
  ];
  for (const call of calls) expect(() => k.complete(call())).toThrow(BugSignal);
  expect([called, k.fw.ledger.attachments]).toEqual([[], 1]);
});

it("one put too many is a bug, and release runs once", () => {
  const k = kit(linux73);
  let released = 0;
  const buf = k.exported({ ...moves, mmap() {}, release: () => void released++ });
  const mapping = k.complete(k.fw.mmapFile(buf, { pgoff: 0, pages: 1, buf: null, fault: null }));
  k.complete(k.fw.put(buf));
  k.complete(k.fw.put(buf));
  expect(() => k.complete(k.fw.munmap(mapping))).toThrow(BugSignal);
  expect([released, k.fw.findings.map((f) => f.requirement)]).toEqual([1, ["linux-7.3/dma_buf_put"]]);
});

it("a call that the contract has not is refused, and says so", () => {
  const k = kit(linux73);
  const at = k.attach(k.exported(moves));
  expect(refusal(() => k.complete(k.fw.getPfnUnlocked(at, 0)))).toBe("EINVAL@map");
  expect(k.fw.findings.at(-1)?.message).toBe("linux-7.3 has no such call: use one it has");
});
