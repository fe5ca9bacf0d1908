/** A section of memory_lock in the hands of a user: it ends once, and does nothing without the lock. */
import type { Op } from "@dma-buf/core";
import { expect, it } from "vitest";
import type { MemorySection } from "./exporter.js";
import { vfioExporter } from "./linux-7.3.js";
import { kit, PAGE, TestImporter } from "./testing.js";

function attached() {
  const k = kit(vfioExporter);
  const buf = k.run(k.exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] }));
  const importer = new TestImporter(k.fw);
  k.run(importer.attach(buf, k.peer.device));
  const take = (why: string): MemorySection => k.exporter.tryLockMemory(why) as MemorySection;
  return { ...k, buf, importer, take };
}

it("ended twice, it gives back once: the lock of whoever has it next stays, and so do the references", () => {
  const k = attached();
  const first = k.take("first");
  k.run(first.revoke());
  expect(k.buf.refs).toBe(2);
  k.run(first.end());
  const before = k.counts();
  const second = k.take("second");
  k.run(first.end());
  expect([k.exporter.tryLockMemory("third"), k.counts(), k.buf.refs]).toEqual([null, before, 1]);
  k.run(second.end());
});

it.each(["revoke", "restore", "wake"] as const)(
  "%s after its end is a TypeError that says so: nobody is told",
  (what) => {
    const k = attached();
    const section = k.take("a test");
    if (what === "restore") k.run(section.revoke());
    k.run(section.end());
    const before = [k.counts(), k.importer.calls];
    k.host.setPowerState = () => expect.unreachable();
    const late = (): Op<void> => section[what]();
    expect(() => k.run(late())).toThrow(TypeError);
    expect(() => k.run(late())).toThrow(
      `${what}() after end(): memory_lock of 0000:01:00.0 is given back, take it again`,
    );
    expect([k.counts(), k.importer.calls]).toEqual(before);
  },
);

it("a revoke that is refused so leaves CPU mappings of the BAR filled", () => {
  const k = attached();
  const section = k.take("a test");
  k.run(section.end());
  const vma = { pgoff: 0, pages: 1, buf: null, fault: null as ((page: number) => unknown) | null };
  k.exporter.mmapRegion(0, vma as never);
  k.run(vma.fault?.(0) as Op<unknown>);
  expect(() => k.run(section.revoke())).toThrow(TypeError);
  // A page that is there is no operation, but its answer.
  expect(vma.fault?.(0)).toMatchObject({ maxOrder: 0 });
});
