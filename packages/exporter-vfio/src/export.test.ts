/** The device feature behind the checks of its argument: what is installed, and what is left when that fails. */
import { type DmaBuf, DmaBufError, type Op, point } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { MemorySection } from "./exporter.js";
import { encodeDmaBufFeature, VFIO_DEVICE_FEATURE_FLAG } from "./feature-layout.js";
import { vfioExporter } from "./linux-7.3.js";
import { kit, PAGE, TestImporter } from "./testing.js";

const request = { regionIndex: 0, openFlags: 0o2000002, ranges: [{ offset: PAGE, length: PAGE }] };
const ZERO = Array.from({ length: 9 }, () => 0);

describe("the device feature", () => {
  it("probing answers 0, makes nothing and installs nothing", () => {
    const k = kit(vfioExporter);
    const arg = encodeDmaBufFeature(request, VFIO_DEVICE_FEATURE_FLAG.PROBE);
    const never = (): number => expect.unreachable("installed");
    expect(k.run(k.exporter.deviceFeature(arg, never))).toBe(0);
    expect(Object.values(k.counts())).toEqual(ZERO);
  });

  it("getting gives the buffer with its one reference, and the flags for the fd", () => {
    const k = kit(vfioExporter);
    const got: [DmaBuf, number][] = [];
    const install = function* (buf: DmaBuf, openFlags: number): Op<number> {
      got.push([buf, openFlags]);
      return 7;
    };
    expect(k.run(k.exporter.deviceFeature(encodeDmaBufFeature(request), install))).toBe(7);
    expect(got).toMatchObject([[{ refs: 1, sizeBytes: PAGE, flags: 2 }, 0o2000002]]);
    for (const [buf] of got) k.run(k.fw.put(buf));
    expect(Object.values(k.counts())).toEqual(ZERO);
  });

  it("no fd left: EMFILE, and the buffer is released", () => {
    const k = kit(vfioExporter);
    const full = (): number => {
      throw new DmaBufError("EMFILE", { op: "dma_buf_fd", stage: "fd", message: "no fd is left: close one" });
    };
    expect(k.answer(k.exporter.deviceFeature(encodeDmaBufFeature(request), full))).toBe("EMFILE@fd");
    expect(Object.values(k.counts())).toEqual(ZERO);
  });

  it("a Promise is no fd: TypeError, and the buffer is released", () => {
    const k = kit(vfioExporter);
    const later = (): number => Promise.resolve(7) as never;
    const act = () => k.run(k.exporter.deviceFeature(encodeDmaBufFeature(request), later));
    expect(act).toThrow(new TypeError("install returned a Promise: return a number or a generator"));
    expect(Object.values(k.counts())).toEqual(ZERO);
  });

  it.each([
    [{ dmaBuf: false }, "ENOTTY@export"],
    [{ getDmabufPhys: false }, "EOPNOTSUPP@export"],
  ])("a kernel or a driver without it, %o: %s, for a probe as well", (support, expected) => {
    const k = kit(vfioExporter, { options: { support } });
    for (const flag of [VFIO_DEVICE_FEATURE_FLAG.PROBE, VFIO_DEVICE_FEATURE_FLAG.GET])
      expect(k.answer(k.exporter.deviceFeature(encodeDmaBufFeature(request, flag), () => 3))).toBe(expected);
    expect(Object.values(k.counts())).toEqual(ZERO);
  });
});

it("a buffer that is found while its export is under way is listed only when whoever locked it is done", () => {
  const k = kit(vfioExporter);
  const order: string[] = [];
  const lock = k.exporter.tryLockMemory("a test") as MemorySection;
  k.scheduler.spawn(
    "export",
    (function* (): Op<void> {
      yield* k.exporter.export(request);
      order.push("exported");
    })(),
  );
  k.scheduler.spawn(
    "bufinfo",
    (function* (): Op<void> {
      const buf = (yield* k.fw.nextBuffer(null)) as DmaBuf;
      using _held = yield* buf.resv.lock();
      yield* lock.end();
      for (let n = 0; n < 9; n++) yield* point("prints");
      order.push("printed");
    })(),
  );
  expect(k.scheduler.run().kind).toBe("done");
  expect(order).toEqual(["printed", "exported"]);
});

describe("what may not be served because it belongs to one VM", () => {
  const vm = {};
  it("while bound: a device EOPNOTSUPP at attach, and at map where it was attached before; after, it is served again", () => {
    const k = kit(vfioExporter);
    const buf = k.run(k.exporter.export(request));
    const importer = new TestImporter(k.fw);
    const at = k.run(importer.attach(buf, k.peer.device));
    k.run(importer.map(at));
    k.run(k.exporter.binding.bind(vm));
    expect([importer.calls, k.fw.ledger.mappings]).toEqual([2, 0]);
    const before = k.counts();
    expect(k.answer(importer.map(at))).toBe("EOPNOTSUPP@map");
    expect(k.answer(importer.attach(buf, k.peer.device))).toBe("EOPNOTSUPP@attach");
    expect(k.counts()).toEqual(before);
    k.run(k.exporter.binding.unbind());
    expect(k.answer(importer.map(at))).toBe("ok");
  });
});

describe("a mapping of the BAR by a CPU, beside every dma-buf", () => {
  it("is emptied by what revokes, filled again after, refused in low power and while bound", () => {
    const k = kit(vfioExporter);
    const vma = { pgoff: 0, pages: 16, buf: null, fault: null } as Parameters<typeof k.exporter.mmapRegion>[1];
    k.exporter.mmapRegion(0, vma);
    const touch = (): string =>
      k.answer(
        (function* (): Op<void> {
          const told = vma.fault?.(3);
          if (told && "next" in told) yield* told;
        })(),
      );
    expect(touch()).toBe("ok");
    k.run(k.exporter.setMemoryEnabled(false));
    expect(touch()).toBe("EFAULT@mmap");
    k.run(k.exporter.setMemoryEnabled(true));
    expect(touch()).toBe("ok");
    k.run(k.exporter.enterLowPower());
    expect(touch()).toBe("EFAULT@mmap");
    k.run(k.exporter.exitLowPower());
    expect(touch()).toBe("ok");
    k.run(k.exporter.binding.bind({}));
    expect(() => k.exporter.mmapRegion(0, vma)).toThrow(/private/);
  });
});
