/** Who calls the revoke engine, what is revoked first and what is given back after. */
import { type DmaBuf, DmaBufError, type Op, perform, pfn, type PfnAnswer, pfnLocked, type Vma } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { MemorySection, VfioExporter } from "./exporter.js";
import * as linux73Variant from "./linux-7.3.js";
import * as pfnVariant from "./pfn.js";
import * as pfnLockedVariant from "./pfn-locked.js";
import { type FakeHost, kit, type Kit, PAGE, TestImporter } from "./testing.js";

const WHOLE = { regionIndex: 0, ranges: [{ offset: 0, length: 16 * PAGE }] };

/** A buffer that somebody has mapped; `calls` counts how often it was told. */
function mapped(k: Kit = kit(linux73Variant.vfioExporter)) {
  const buf = k.run(k.exporter.export(WHOLE));
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(buf, k.peer.device));
  k.run(importer.map(at));
  const canMap = (): boolean => {
    const ok = k.answer(importer.map(at)) === "ok";
    k.run(importer.unmap(at));
    return ok;
  };
  return { ...k, buf, importer, at, canMap };
}

const failing = (code: "EAGAIN" | "ENODEV") =>
  function* (): Op<void> {
    throw new DmaBufError(code, { op: "pci_try_reset_function", stage: "cpu-access", message: "told to" });
  };

describe("what takes the memory away, and what gives it back", () => {
  type Act = (e: VfioExporter, host: FakeHost) => Op<void>;
  it.each<[string, Act, number, boolean]>([
    ["COMMAND with MEMORY=0", (e) => e.setMemoryEnabled(false), 1, false],
    ["COMMAND with MEMORY=1: nothing changes", (e) => e.setMemoryEnabled(true), 0, true],
    ["D3hot", (e) => e.setPowerState("D3hot"), 1, false],
    ["D3cold", (e) => e.setPowerState("D3cold"), 1, false],
    ["D0 from D0: nothing changes", (e) => e.setPowerState("D0"), 0, true],
    ["FLR by capability", (e) => e.functionLevelReset(), 2, true],
    ["VFIO_DEVICE_RESET", (e) => e.reset(), 2, true],
    ["low power entry", (e) => e.enterLowPower(), 1, false],
    ["low power exit without entry", (e) => e.exitLowPower(), 0, true],
    ["revoke", (e) => e.revoke(), 1, false],
    ["the last close", (e) => e.close(), 1, false],
  ])("%s", (_name, act, told, mapsAfter) => {
    const { run, exporter, host, importer, canMap, fw } = mapped();
    run(act(exporter, host));
    expect([importer.calls, canMap()]).toEqual([told, mapsAfter]);
    expect(fw.findings).toEqual([]);
  });

  it.each<[string, Act, Act]>([
    ["decoding", (e) => e.setMemoryEnabled(false), (e) => e.setMemoryEnabled(true)],
    ["power", (e) => e.setPowerState("D3hot"), (e) => e.setPowerState("D0")],
    ["low power", (e) => e.enterLowPower(), (e) => e.exitLowPower()],
    ["power, awake by a reset", (e) => e.setPowerState("D3hot"), (e) => e.reset()],
    ["the exporter's own", (e) => e.revoke(), (e) => e.restore()],
  ])("off and on again, %s: who attached before maps again", (_name, off, on) => {
    const { run, exporter, host, importer, canMap } = mapped();
    run(off(exporter, host));
    run(on(exporter, host));
    expect([importer.calls, canMap()]).toEqual([2, true]);
  });

  it("memory is there only with decoding on and the power at D0: one alone gives nothing back", () => {
    const { run, exporter, canMap } = mapped();
    run(exporter.setMemoryEnabled(false));
    run(exporter.setPowerState("D3hot"));
    run(exporter.setMemoryEnabled(true));
    expect(canMap()).toBe(false);
    run(exporter.setPowerState("D0"));
    expect(canMap()).toBe(true);
  });

  it("the memory goes after the revoke, and comes before the un-revoke", () => {
    const { run, exporter, importer, host } = mapped();
    const seen: boolean[] = [];
    importer.onInvalidate = function* () {
      seen.push(host.memoryEnabled);
    };
    run(exporter.setMemoryEnabled(false));
    run(exporter.setMemoryEnabled(true));
    expect(seen).toEqual([true, true]);
  });
});

describe("a write of COMMAND.MEMORY that the host refuses", () => {
  it.each([
    ["off: the memory is still there, and given back", false, true, [2, true]],
    ["on: it did not come, and is not given back", true, false, [1, false]],
  ])("%s; the lock is free again", (_name, on, isOn, expected) => {
    const { host, exporter, run, outcome, importer, canMap } = mapped();
    if (!isOn) run(exporter.setMemoryEnabled(false));
    host.writeMemoryEnabled = failing("ENODEV");
    expect(outcome(exporter.setMemoryEnabled(on))).toBe("ENODEV@cpu-access");
    expect([importer.calls, canMap()]).toEqual(expected);
    expect(exporter.tryLockMemory("free again?")).not.toBeNull();
  });
});

describe("resets", () => {
  it("a function that cannot be reset answers EINVAL, and nothing was revoked", () => {
    const { host, exporter, answer, counts, importer } = mapped();
    host.canReset = false;
    const before = counts();
    expect(answer(exporter.reset())).toBe("EINVAL@cpu-access");
    expect([importer.calls, host.resets]).toEqual([0, 0]);
    expect(counts()).toEqual(before);
  });

  it("a reset that fails gives back all the same", () => {
    const { host, exporter, outcome, importer, canMap } = mapped();
    host.onReset = failing("EAGAIN");
    expect(outcome(exporter.reset())).toBe("EAGAIN@cpu-access");
    expect([importer.calls, canMap()]).toEqual([2, true]);
  });

  it("a reset that leaves decoding off gives nothing back", () => {
    const { host, exporter, run, canMap } = mapped();
    host.onReset = function* () {
      host.memoryEnabled = false;
    };
    run(exporter.reset());
    expect(canMap()).toBe(false);
  });

  it("a function is reset awake", () => {
    const { host, exporter, run } = mapped();
    host.powerState = "D3hot";
    host.onReset = function* () {
      expect(host.powerState).toBe("D0");
    };
    run(exporter.reset());
    expect(host.resets).toBe(1);
  });

  it("and it is woken before anybody is told that it goes", () => {
    const { host, exporter, run, importer } = mapped();
    host.powerState = "D3hot";
    const seen: string[] = [];
    importer.onInvalidate = function* () {
      seen.push(host.powerState);
    };
    run(exporter.reset());
    expect(seen).toEqual(["D0", "D0"]);
  });

  it("a guest that asks for an FLR which is not there gets none, and nobody is told", () => {
    const { host, exporter, run, importer } = mapped();
    host.hasFlr = false;
    run(exporter.functionLevelReset());
    expect([host.resets, importer.calls]).toEqual([0, 0]);
  });

  it("an FLR that fails is not told to the guest, and gives back; another error is not swallowed", () => {
    const { host, exporter, run, canMap } = mapped();
    host.onReset = failing("ENODEV");
    run(exporter.functionLevelReset());
    expect(canMap()).toBe(true);
    host.onReset = function* () {
      throw new RangeError("a bug of the host");
    };
    expect(() => run(exporter.functionLevelReset())).toThrow(/a bug of the host/);
  });

  it.each([
    ["the RFC stays revoked, and it is booked", pfnVariant.vfioExporter, pfn, true, "ENODEV@query", 1],
    ["a contract without that defect gives back", pfnLockedVariant.vfioExporter, pfnLocked, true, "ok", 0],
    ["the conforming one gives back", pfnVariant.vfioExporter, pfn, false, "ok", 0],
  ])("after an FLR, %s", (_name, factory, contract, asPosted, expected, findings) => {
    const k = kit(factory, { contract, options: { asPosted } });
    const at = k.run(new TestImporter(k.fw).attach(k.run(k.exporter.export(WHOLE)), null));
    const ask = function* (): Op<unknown> {
      if (contract === pfn) return yield* k.fw.getPfnUnlocked(at, 0);
      using held = yield* at.buf.resv.lock();
      return yield* k.fw.getPfnAttachment(at, 0, held);
    };
    k.run(k.exporter.functionLevelReset());
    expect(k.answer(ask())).toBe(expected);
    expect(k.fw.findings.map((f) => [f.requirement, f.party])).toEqual(
      Array.from({ length: findings }, () => ["pfn/defect-reset-stays-revoked", "exporter"]),
    );
    k.run(k.exporter.reset());
    expect(k.answer(ask())).toBe("ok");
  });

  it("the RFC's slip bites only where something is to be given back", () => {
    const k = kit(pfnVariant.vfioExporter, { contract: pfn, options: { asPosted: true } });
    k.run(k.exporter.functionLevelReset());
    k.host.memoryEnabled = false;
    k.run(k.exporter.export(WHOLE));
    k.run(k.exporter.functionLevelReset());
    expect(k.fw.findings).toEqual([]);
  });
});

describe("a power state that cannot be had", () => {
  const busy = (k: Kit): void => {
    k.host.setPowerState = () => {
      throw new DmaBufError("EBUSY", { op: "vfio_pci_set_power_state", stage: "cpu-access", message: "VFs in use" });
    };
  };

  it("is not told to the guest, and what was revoked is given back", () => {
    const k = mapped();
    busy(k);
    const before = k.counts();
    k.run(k.exporter.setPowerState("D3hot"));
    expect([k.importer.calls, k.host.powerState]).toEqual([2, "D0"]);
    expect(k.counts()).toEqual({ ...before, mappings: 0, sgTables: 0, dma: 0 });
    expect(k.canMap()).toBe(true);
  });

  it("another error is not swallowed, and memory_lock is free", () => {
    const k = mapped();
    k.host.setPowerState = () => {
      throw new RangeError("a bug of the host");
    };
    expect(() => k.run(k.exporter.setPowerState("D3hot"))).toThrow(/a bug of the host/);
    expect(k.exporter.tryLockMemory("free?")).not.toBeNull();
  });
});

describe("low power", () => {
  it("a second entry answers EINVAL; the ledgers are unchanged, and it is woken as before", () => {
    const { run, exporter, answer, counts, canMap } = mapped();
    run(exporter.enterLowPower());
    const before = counts();
    expect(answer(exporter.enterLowPower())).toBe("EINVAL@cpu-access");
    expect(counts()).toEqual(before);
    run(exporter.exitLowPower());
    expect(canMap()).toBe(true);
  });

  it("what is exported meanwhile is not born revoked: low power is no part of that; a second entry revokes it", () => {
    const { run, exporter, answer, outcome, fw, peer } = mapped();
    run(exporter.enterLowPower());
    const buf = run(exporter.export(WHOLE));
    const importer = new TestImporter(fw);
    const at = run(importer.attach(buf, peer.device));
    run(importer.map(at));
    expect(outcome(exporter.enterLowPower())).toBe("EINVAL@cpu-access");
    expect([importer.calls, answer(importer.map(at))]).toEqual([1, "ENODEV@map"]);
  });
});

describe("close and unregister", () => {
  it("buffers outlive the device: revoked for good, their size still known, and nobody is kept registered", () => {
    const { run, exporter, buf, answer, importer, at, fw, peer, counts } = mapped();
    run(exporter.close());
    expect(counts()).toMatchObject({ registrations: 0, mappings: 0, sgTables: 0 });
    expect([buf.sizeBytes, buf.refs]).toEqual([16 * PAGE, 1]);
    expect([answer(importer.map(at)), answer(importer.attach(buf, peer.device))]).toEqual([
      "ENODEV@map",
      "ENODEV@attach",
    ]);
    run(exporter.unregister());
    run(fw.detachAttachment(buf, at));
    run(fw.put(buf));
    expect(counts()).toMatchObject({ buffers: 0, attachments: 0, registrations: 0 });
  });

  it("a buffer of a closed device is released without its memory_lock", () => {
    const k = mapped();
    k.run(k.exporter.close());
    const lock = k.exporter.tryLockMemory("a test") as MemorySection;
    k.run(k.fw.detachAttachment(k.buf, k.at));
    k.run(k.fw.put(k.buf));
    k.run(lock.end());
    expect(k.counts()).toMatchObject({ buffers: 0, registrations: 0 });
  });

  it("a closed fd answers EBADF, and leaves everything as it is", () => {
    const { run, exporter, answer, counts } = mapped();
    run(exporter.close());
    const before = counts();
    const vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    expect([
      answer(exporter.export(WHOLE)),
      answer(exporter.deviceFeature(new Uint8Array(40), () => 3)),
      answer(exporter.close()),
      answer(once(() => exporter.mmapRegion(0, vma))),
    ]).toEqual(["EBADF@export", "EBADF@fd", "EBADF@fd", "EBADF@fd"]);
    expect(counts()).toEqual(before);
  });

  it("unregister waits for the close; meanwhile exports answer ENODEV", () => {
    const { exporter, scheduler, answer, counts, run, fw } = mapped();
    const before = counts();
    const gone = scheduler.spawn("unbind", exporter.unregister());
    const refused = scheduler.spawn("vmm", exporter.export(WHOLE));
    const closed = scheduler.spawn("close", exporter.close());
    expect(scheduler.run().kind).toBe("done");
    expect([gone.state, refused.error, closed.state]).toEqual([
      "done",
      expect.objectContaining({ code: "ENODEV" }),
      "done",
    ]);
    expect({ ...counts(), registrations: 1 }).toEqual({ ...before, mappings: 0, sgTables: 0, dma: 0 });
    expect(answer(exporter.export(WHOLE))).toBe("EBADF@export");
    run(fw.nextBuffer(null));
  });

  it("a buffer whose export was under way when the device was closed: revoked for good as the others", () => {
    const k = kit(linux73Variant.vfioExporter);
    const lock = k.exporter.tryLockMemory("a test");
    const exporting = k.scheduler.spawn("vmm", k.exporter.export(WHOLE));
    const closing = k.scheduler.spawn("close", k.exporter.close());
    const unlocking = k.scheduler.spawn("test", (lock as MemorySection).end());
    expect(k.scheduler.run().kind).toBe("done");
    expect([exporting.state, closing.state, unlocking.state]).toEqual(["done", "done", "done"]);
    expect(k.exporter.ledger.registrations).toBe(0);
    const buf = exporting.result as DmaBuf;
    expect(k.answer(new TestImporter(k.fw).attach(buf, k.peer.device))).toBe("ENODEV@attach");
    k.run(k.fw.put(buf));
    expect(k.counts()).toMatchObject({ buffers: 0, registrations: 0 });
  });

  it("an export whose task is ended while it waits leaves nothing", () => {
    const k = kit(linux73Variant.vfioExporter);
    const lock = k.exporter.tryLockMemory("a test") as MemorySection;
    const ended = k.scheduler.spawn("vmm", k.exporter.export(WHOLE));
    expect([k.scheduler.run().kind, ended.state]).toEqual(["deadlock", "ended"]);
    k.run(lock.end());
    expect(Object.values(k.counts()).every((n) => n === 0)).toBe(true);
  });

  it("a CPU's mapping of the BAR that outlives the device stays empty", () => {
    const k = mapped();
    const vma: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    k.exporter.mmapRegion(0, vma);
    const touch = (): string => k.answer(perform(vma.fault?.(0) as Op<PfnAnswer>));
    expect(touch()).toBe("ok");
    k.run(k.exporter.close());
    expect(touch()).toBe("EFAULT@mmap");
  });

  it.each([
    ["with a buffer", true],
    ["without one", false],
  ])("unregister without a close is a HANG that says what it waits for: %s", (_name, withBuffer) => {
    const k = kit(linux73Variant.vfioExporter);
    if (withBuffer) k.run(k.exporter.export(WHOLE));
    k.scheduler.spawn("unbind", k.exporter.unregister());
    expect(k.scheduler.run()).toMatchObject({
      waits: [{ site: "vfio.unregister", blockedOn: "the close of 0000:01:00.0" }],
    });
  });

  it("and after the close it waits for a buffer that is just being released", () => {
    const k = kit(linux73Variant.vfioExporter);
    const buf = k.run(k.exporter.export(WHOLE));
    const lock = k.exporter.tryLockMemory("a test") as MemorySection;
    k.scheduler.spawn("close", k.exporter.close());
    k.scheduler.spawn("put", k.fw.put(buf));
    k.scheduler.spawn("unbind", k.exporter.unregister());
    expect(k.scheduler.run()).toMatchObject({
      waits: [{}, {}, { blockedOn: "the release of 1 dma-buf(s) of 0000:01:00.0" }],
    });
    k.run(lock.end());
  });
});

function* once(does: () => void): Op<void> {
  does();
}
