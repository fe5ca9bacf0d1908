/** What no type allows, from JavaScript: a rule and a remedy before anything happens. */
import type { Op } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { VfioExport, VfioExporter } from "./exporter.js";
import { encodeDmaBufFeature } from "./feature-layout.js";
import { hotReset, type HotReset } from "./hot-reset.js";
import { vfioExporter } from "./linux-7.3.js";
import { kit, type Kit, PAGE, TestImporter } from "./testing.js";

const RANGE = { offset: 0, length: PAGE };
const WHOLE: VfioExport = { regionIndex: 0, ranges: [RANGE] };

/** A buffer that somebody has mapped, and what may not change: the ledgers, the calls, the function, and what is revoked. */
function mapped() {
  const k = kit(vfioExporter);
  const buf = k.run(k.exporter.export(WHOLE));
  const importer = new TestImporter(k.fw);
  const at = k.run(importer.attach(buf, k.peer.device));
  k.run(importer.map(at));
  const state = (): object => ({
    ...k.counts(),
    calls: importer.calls,
    resets: k.host.resets,
    memoryEnabled: k.host.memoryEnabled,
    powerState: k.host.powerState,
    data: k.exporter.binding.data,
    revoked: (buf.priv as { revoked: boolean }).revoked,
  });
  return { ...k, state };
}

/** Nothing changes by what is refused; the message. */
function message(k: Pick<Kit, "run"> & { state(): object }, op: () => Op<unknown>): string {
  const before = k.state();
  let told = "ok";
  try {
    k.run(op());
  } catch (error) {
    told = String(error);
  }
  expect(k.state()).toEqual(before);
  return told;
}

describe("states of the function", () => {
  it.each(["D1", "D2", "D4", "d0", "", undefined, null, 3])("power state %s: EINVAL, and nothing is revoked", (to) => {
    const k = mapped();
    const act = (): Op<void> => k.exporter.setPowerState(to as never);
    expect(message(k, act)).toMatch(/knows no power state .*: give D0, D3hot, D3cold/);
    expect(k.answer(act())).toBe("EINVAL@cpu-access");
  });

  it.each([undefined, null, 0, 1, "on"])("COMMAND.MEMORY %s: TypeError, and nothing is revoked", (on) => {
    const k = mapped();
    const told = message(k, () => k.exporter.setMemoryEnabled(on as never));
    expect(told).toMatch(/TypeError: setMemoryEnabled\(\) got .*: give true or false/);
  });
});

describe("after the close", () => {
  it.each<[string, (e: VfioExporter) => Op<unknown>]>([
    ["reset", (e) => e.reset()],
    ["FLR", (e) => e.functionLevelReset()],
    ["memory on", (e) => e.setMemoryEnabled(true)],
    ["memory off", (e) => e.setMemoryEnabled(false)],
    ["memory, and no boolean", (e) => e.setMemoryEnabled(1 as never)],
    ["power", (e) => e.setPowerState("D3hot")],
    ["no power state", (e) => e.setPowerState("D1" as never)],
    ["low power entry", (e) => e.enterLowPower()],
    ["low power exit", (e) => e.exitLowPower()],
    ["bind", (e) => e.binding.bind({})],
    ["bind nothing", (e) => e.binding.bind(null as never)],
    ["hot reset", (e) => hotReset({ set: [e], isOwned: () => true, *resetBus() {} })],
  ])("%s: EBADF, before any other rule, and nothing changes", (_name, act) => {
    const k = mapped();
    k.host.canReset = false;
    expect(k.exporter.isOpen).toBe(true);
    k.run(k.exporter.close());
    expect(k.exporter.isOpen).toBe(false);
    expect(message(k, () => act(k.exporter))).toMatch(/the fd of 0000:01:00.0 is closed: open/);
    expect(k.answer(act(k.exporter))).toBe("EBADF@fd");
  });

  it("an FLR that the function has not is EBADF as well", () => {
    const k = mapped();
    k.host.hasFlr = false;
    k.run(k.exporter.close());
    expect(k.answer(k.exporter.functionLevelReset())).toBe("EBADF@fd");
  });

  it("the exporter's own revoke and restore, and unbind, find nothing to do", () => {
    const k = mapped();
    k.run(k.exporter.binding.bind({}));
    k.run(k.exporter.close());
    const { data: _bound, ...before } = k.state() as { data: unknown };
    k.run(k.exporter.revoke());
    k.run(k.exporter.restore());
    k.run(k.exporter.binding.unbind());
    expect(k.state()).toEqual({ ...before, data: { isPrivate: false, kvm: null } });
  });
});

describe("an export", () => {
  it.each<[unknown, string]>([
    [undefined, "TypeError: export() got undefined: give { regionIndex, ranges }"],
    [null, "TypeError: export() got null: give { regionIndex, ranges }"],
    [{ regionIndex: 0, ranges: "ab" }, 'TypeError: ranges got "ab": give an array of { offset, length }'],
    [{ regionIndex: 0, ranges: null }, "TypeError: ranges got null: give an array of { offset, length }"],
    [{ regionIndex: 0 }, "TypeError: ranges got undefined: give an array of { offset, length }"],
    [{ regionIndex: 0, ranges: [RANGE, null] }, "TypeError: ranges[1] got null: give { offset, length }"],
    [{ regionIndex: 0, ranges: [7] }, "TypeError: ranges[0] got 7: give { offset, length }"],
  ])("of %o: %s", (what, told) => {
    const k = mapped();
    expect(message(k, () => k.exporter.export(what as never))).toBe(told);
  });

  it.each([Number.NaN, "x", -1, 1.5, 2 ** 32, null])("with openFlags %s: EINVAL", (openFlags) => {
    const k = mapped();
    const act = (): Op<unknown> => k.exporter.export({ ...WHOLE, openFlags: openFlags as never });
    expect(message(k, act)).toMatch(/openFlags .* is no unsigned 32-bit value: give the flags of open\(\)/);
    expect(k.answer(act())).toBe("EINVAL@export");
  });
});

describe("the device feature", () => {
  it.each([[undefined], [null], [[1, 2]], ["ab"], [40]])("%o is no memory: EFAULT", (arg) => {
    const k = mapped();
    const act = (): Op<unknown> => k.exporter.deviceFeature(arg as never, () => 3);
    expect(message(k, act)).toMatch(/which is no memory: give a Uint8Array/);
    expect(k.answer(act())).toBe("EFAULT@export");
  });

  it.each([undefined, null, -1, 1.5, Number.NaN, "3", 3n])("%s is no fd: TypeError, and the buffer is put", (fd) => {
    const k = mapped();
    const arg = encodeDmaBufFeature({ ...WHOLE, openFlags: 0 });
    const told = message(k, () => k.exporter.deviceFeature(arg, () => fd as never));
    expect(told).toMatch(/TypeError: the result of install\(\) got .*: give the fd, an integer from 0/);
  });
});

describe("a hot reset", () => {
  const good = (k: Kit): HotReset => ({ set: [k.exporter], isOwned: () => true, *resetBus() {} });

  it.each<[string, (k: Kit) => unknown, string | RegExp]>([
    ["nothing", () => undefined, "TypeError: hotReset() got undefined: give { set, isOwned, resetBus }"],
    ["{}", () => ({}), "TypeError: set got undefined: give an array of exporters"],
    ["null", (k) => ({ ...good(k), set: [k.exporter, null] }), "TypeError: set[1] got null: give an exporter"],
    ["no isOwned", (k) => ({ ...good(k), isOwned: null }), "TypeError: isOwned got null: give a function"],
    ["no resetBus", (k) => ({ ...good(k), resetBus: 1 }), "TypeError: resetBus got 1: give a function"],
    ["an empty set", (k) => ({ ...good(k), set: [] }), /EINVAL.*set is empty: name every function/],
    [
      "one function twice",
      (k) => ({ ...good(k), set: [k.exporter, k.exporter] }),
      /EINVAL.*0000:01:00.0 is in the set twice: name each function once/,
    ],
  ])("of %s", (_name, what, told) => {
    const k = mapped();
    expect(message(k, () => hotReset(what(k) as never))).toMatch(told);
    const free = k.exporter.tryLockMemory("free?");
    expect(free).not.toBeNull();
  });
});

it.each<[unknown, string]>([
  [null, "options got null: give an object, or leave them out"],
  [1, "options got 1: give an object, or leave them out"],
  [{ support: null }, "options.support got null: give an object, or leave it out"],
  [{ memory: null }, "options.memory got null: give { cache, snoop }, or leave it out"],
  [{ memory: { cache: "cached" } }, 'options.memory.cache got "cached": give uc, wc, wb'],
])("options %o: TypeError", (options, told) => {
  expect(() => vfioExporter(options as never)).toThrow(new TypeError(told));
});
