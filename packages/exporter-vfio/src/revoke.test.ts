/** The engine of revoke and un-revoke, its waits and what it does to importers. */
import { DmaFence, type DmaFenceOps, dmaAddress, type Op, pfn, pfnLocked, point, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import * as dmaAddressVariant from "./dma-address.js";
import * as linux73Variant from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import * as pfnLockedVariant from "./pfn-locked.js";
import { kit, PAGE, TestImporter } from "./testing.js";

const WHOLE = { regionIndex: 0, ranges: [{ offset: 0, length: 16 * PAGE }] };
const { vfioExporter } = linux73Variant;

function mapped(k = kit(vfioExporter)) {
  const buf = k.run(k.exporter.export(WHOLE));
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(buf, k.peer.device));
  k.run(importer.map(at));
  return { ...k, buf, importer, at };
}

describe("a revoke", () => {
  it("takes the mapping away, refuses until un-revoke, and gives the same bytes back", () => {
    const { run, exporter, importer, at, answer, fw, buf, peer } = mapped();
    const before = [...(importer.tables[0]?.runs ?? [])];
    run(exporter.revoke());
    expect([importer.calls, importer.tables.length, fw.ledger.mappings]).toEqual([1, 0, 0]);
    expect([answer(importer.map(at)), answer(importer.attach(buf, peer.device))]).toEqual([
      "ENODEV@map",
      "ENODEV@attach",
    ]);
    run(exporter.restore());
    run(importer.map(at));
    expect([...(importer.tables[0]?.runs ?? [])]).toEqual(before);
  });

  it("is idempotent in both directions: nobody is told twice", () => {
    const { run, exporter, importer } = mapped();
    for (const _ of [1, 2]) run(exporter.revoke());
    expect(importer.calls).toBe(1);
    for (const _ of [1, 2]) run(exporter.restore());
    expect(importer.calls).toBe(2);
  });

  it("un-revoke tells importers too, and what one maps in that callback is refused", () => {
    const { run, exporter, importer, at, fw } = mapped();
    run(exporter.revoke());
    const seen: string[] = [];
    importer.onInvalidate = function* (_at, held) {
      try {
        yield* fw.mapAttachment(at, "to-device", held);
        seen.push("ok");
      } catch (error) {
        seen.push((error as { code: string }).code);
      }
    };
    run(exporter.restore());
    expect(seen).toEqual(["ENODEV"]);
  });

  it("does not give back while the memory is disabled", () => {
    const { run, exporter, importer, at, answer, host } = mapped();
    run(exporter.revoke());
    host.memoryEnabled = false;
    run(exporter.restore());
    expect(answer(importer.map(at))).toBe("ENODEV@map");
  });

  it("after a revoke and an un-revoke, the next revoke waits again, and so does a close", () => {
    const { run, exporter, importer, at, fw, scheduler } = mapped();
    for (const revoke of [() => exporter.revoke(), () => exporter.close()]) {
      importer.givesBack = false;
      const task = scheduler.spawn("revoke", revoke());
      scheduler.spawn("unmap", importer.unmap(at));
      expect(scheduler.run().kind).toBe("done");
      expect([task.state, fw.ledger.mappings]).toEqual(["done", 0]);
      run(exporter.restore());
      if (exporter.ledger.registrations > 0) run(importer.map(at));
    }
  });

  it("a revoke, then a close: revoked for good, nothing underflows", () => {
    const { run, exporter, importer, at, answer, counts } = mapped();
    run(exporter.revoke());
    run(exporter.close());
    expect(counts()).toMatchObject({ registrations: 0, mappings: 0, sgTables: 0, buffers: 1 });
    run(exporter.restore());
    expect(answer(importer.map(at))).toBe("ENODEV@map");
  });
});

describe("the waits", () => {
  const busy = (k: ReturnType<typeof mapped>): DmaFence => {
    const ops: DmaFenceOps = { driverName: () => "nic", timelineName: () => "queue 0" };
    const fence = new DmaFence(k.fw.env, ops, k.fw.env.allocContexts(1), 1);
    k.run(
      (function* (): Op<void> {
        using held = yield* k.buf.resv.lock();
        k.buf.resv.reserveFences(held, 1);
        k.buf.resv.addFence(held, fence, Usage.BOOKKEEP);
      })(),
    );
    return fence;
  };

  it.each([
    ["linux-7.3", () => kit(vfioExporter)],
    ["dma-address", () => kit(dmaAddressVariant.vfioExporter, { contract: dmaAddress })],
  ])("%s waits for the fences: one that never signals is a HANG that names it", (_id, make) => {
    const k = mapped(make());
    busy(k);
    k.scheduler.spawn("vmm", k.exporter.revoke());
    expect(k.scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ task: "vmm" }] });
    expect(k.fw.findings.at(-1)).toMatchObject({ level: "violation", message: expect.stringMatching(/nic/) as string });
  });

  it("goes on when the fence signals", () => {
    const k = mapped();
    const fence = busy(k);
    const task = k.scheduler.spawn("vmm", k.exporter.revoke());
    k.scheduler.spawn(
      "nic",
      (function* (): Op<void> {
        fence.signal();
      })(),
    );
    expect([k.scheduler.run().kind, task.state]).toEqual(["done", "done"]);
  });

  it("as posted, 6.13 waits for nothing", () => {
    const k = mapped(kit(dmaAddressVariant.vfioExporter, { contract: dmaAddress, options: { asPosted: true } }));
    const fence = busy(k);
    k.run(k.exporter.revoke());
    expect(fence.signaled).toBe(false);
  });

  it("an importer that never unmaps is a HANG that names it, and memory_lock is held meanwhile", () => {
    const k = mapped();
    k.importer.givesBack = false;
    k.scheduler.spawn("vmm", k.exporter.setMemoryEnabled(false));
    k.scheduler.spawn("other", k.exporter.export(WHOLE));
    const end = k.scheduler.run();
    expect(end).toMatchObject({
      kind: "deadlock",
      waits: [
        { task: "vmm", site: "vfio.unmap", blockedOn: "unmap by importer" },
        { task: "other", blockedOn: "memory_lock, held for COMMAND.MEMORY off by vmm" },
      ],
    });
    expect(k.host.memoryEnabled).toBe(true);
  });

  it("who detaches with its mapping left is waited for as well", () => {
    const k = mapped();
    k.importer.givesBack = false;
    k.run(k.fw.detachAttachment(k.buf, k.at));
    k.scheduler.spawn("vmm", k.exporter.revoke());
    expect(k.scheduler.run()).toMatchObject({ waits: [{ blockedOn: "unmap by importer" }] });
  });

  it.each([
    ["dma-address", dmaAddressVariant.vfioExporter, dmaAddress],
    ["pfn", pfnVariant.vfioExporter, pfn],
  ])("%s waits for no unmap: its contract does not", (_id, factory, contract) => {
    const k = kit(factory, { contract });
    const importer = new TestImporter(k.fw);
    importer.givesBack = false;
    const byMap = contract === dmaAddress;
    const at = k.run(importer.attach(k.run(k.exporter.export(WHOLE)), byMap ? k.peer.device : null));
    if (byMap) k.run(importer.map(at));
    k.run(k.exporter.revoke());
    expect(importer.calls).toBe(1);
  });
});

describe("importers that misbehave", () => {
  it("one that throws in its callback is a finding; the other buffers are revoked all the same", () => {
    const k = mapped();
    k.importer.onInvalidate = () => {
      throw new TypeError("a bug of the importer");
    };
    const other = k.run(k.exporter.export(WHOLE));
    const second = new TestImporter(k.fw, "second");
    const at = k.run(second.attach(other, k.peer.device));
    k.run(second.map(at));
    k.scheduler.spawn("vmm", k.exporter.revoke());
    k.scheduler.spawn("late unmap", k.importer.unmap(k.at));
    expect(k.scheduler.run().kind).toBe("done");
    expect(k.fw.findings.map((f) => [f.party, f.message])).toEqual([
      ["importer", "importer threw: TypeError: a bug of the importer"],
    ]);
    expect([second.calls, k.fw.ledger.mappings]).toEqual([1, 0]);
  });

  it("one that throws keeps nothing from who attached before it: that one is told, and unmaps", () => {
    const k = mapped();
    const thrower = new TestImporter(k.fw, "thrower");
    thrower.onInvalidate = () => {
      throw new TypeError("a bug of the importer");
    };
    // Newest first: it is told before the other.
    k.run(thrower.attach(k.buf, k.peer.device));
    k.run(k.exporter.revoke());
    expect([thrower.calls, k.importer.calls, k.fw.ledger.mappings]).toEqual([1, 1, 0]);
    expect(k.fw.findings.map((f) => f.party)).toEqual(["importer"]);
    k.run(k.exporter.restore());
    expect(k.answer(k.importer.map(k.at))).toBe("ok");
  });

  it("an oops in its callback ends the task that revokes, and gives the locks back", () => {
    const k = mapped();
    k.importer.onInvalidate = () => k.fw.unpinAttachment(null as never, null as never);
    expect(() => k.run(k.exporter.revoke())).toThrow(/the attachment is NULL/);
    expect(k.buf.resv.locked).toBe(false);
    expect(k.fw.ledger.references).toBe(1);
    k.importer.onInvalidate = function* () {};
    k.run(k.importer.unmap(k.at));
    k.run(k.exporter.close());
  });

  it("one that lies about its callback is refused", () => {
    const k = kit(vfioExporter);
    const buf = k.run(k.exporter.export(WHOLE));
    const before = k.counts();
    const liar = { name: "liar", ops: { allowPeer2peer: true } };
    expect(k.answer(k.fw.dynamicAttach(buf, k.peer.device, liar))).toBe("EOPNOTSUPP@attach");
    expect(k.counts()).toEqual(before);
  });
});

describe("release and revoke at the same time", () => {
  it("release waits for memory_lock, and says who holds it", () => {
    const k = kit(vfioExporter);
    const buf = k.run(k.exporter.export(WHOLE));
    k.run(
      (function* (): Op<void> {
        k.exporter.tryLockMemory("a reset");
      })(),
    );
    k.scheduler.spawn("put", k.fw.put(buf));
    expect(k.scheduler.run()).toMatchObject({
      waits: [{ site: "vfio.memory_lock", blockedOn: "memory_lock, held for a reset by test" }],
    });
  });

  it("a buffer that is being released is passed over, and the release waits for memory_lock", () => {
    const k = kit(vfioExporter);
    const buf = k.run(k.exporter.export(WHOLE));
    const lock = k.exporter.tryLockMemory("a test");
    const put = k.scheduler.spawn("put", k.fw.put(buf));
    const asked = k.scheduler.spawn(
      "revoke",
      (function* (): Op<void> {
        if (!lock) return;
        yield* lock.revoke();
        yield* lock.end();
      })(),
    );
    expect([k.scheduler.run().kind, put.state, asked.state]).toEqual(["done", "done", "done"]);
    expect(k.counts()).toMatchObject({ buffers: 0, registrations: 0 });
  });

  it("the last put while a revoke has the buffer: released when the revoke is over, by whoever was last", () => {
    const k = mapped();
    k.importer.onInvalidate = function* () {
      yield* k.fw.put(k.buf);
      yield* point("the file is closed");
    };
    k.run(k.exporter.revoke());
    expect(k.counts()).toMatchObject({ buffers: 0, registrations: 0, sgTables: 0 });
  });
});

it("pfn-locked asks under the lock, and is refused while revoked", () => {
  const k = kit(pfnLockedVariant.vfioExporter, { contract: pfnLocked });
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(k.run(k.exporter.export(WHOLE)), null));
  const ask = function* (): Op<unknown> {
    using held = yield* at.buf.resv.lock();
    return yield* k.fw.getPfnAttachment(at, 3, held);
  };
  expect(k.run(ask())).toEqual({ pfn: 0x400_0003, maxOrder: 4 });
  k.run(k.exporter.revoke());
  expect(k.answer(ask())).toBe("ENODEV@query");
});
