import { refusal } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { dmaAddress } from "./contracts/dma-address.js";
import { linux73 } from "./contracts/linux-7.3.js";
import type { DmaBufOps, Vma } from "./dma-buf.js";
import { type Op, until } from "./op.js";
import { BugSignal } from "./finding.js";
import { kit, maps, refuse } from "./testing.js";
import { Usage } from "./usage.js";

const vmaOf = (pgoff: number, pages: number): Vma => ({ pgoff, pages, buf: null, fault: null });

describe("begin_cpu_access", () => {
  it.each([
    ["from-device", ["KERNEL", "WRITE"]],
    ["to-device", ["KERNEL", "WRITE", "READ"]],
    ["bidirectional", ["KERNEL", "WRITE", "READ"]],
  ] as const)("%s waits for %j", (direction, waited) => {
    const found = Object.entries(Usage).map(([name, usage]) => {
      const k = kit(linux73);
      const buf = k.exported(maps);
      const held = k.hold(buf.resv);
      buf.resv.reserveFences(held, 1);
      buf.resv.addFence(held, k.fence(), usage);
      held[Symbol.dispose]();
      const task = k.scheduler.spawn("cpu", k.fw.beginAccess(buf, direction));
      k.scheduler.run();
      return task.state === "done" ? [] : [name];
    });
    expect(found.flat()).toEqual(waited);
  });

  it("the callback comes first, and is not undone when the wait is interrupted", () => {
    const log: string[] = [];
    const k = kit(linux73);
    const buf = k.exported({
      ...maps,
      beginCpuAccess: () => void log.push("begin"),
      endCpuAccess: () => void log.push("end"),
    });
    const held = k.hold(buf.resv);
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, k.fence(), Usage.WRITE);
    held[Symbol.dispose]();
    const task = k.scheduler.spawn("cpu", k.fw.beginAccess(buf, "to-device"));
    k.scheduler.signal(task);
    k.scheduler.run();
    expect([log, task.error]).toMatchObject([["begin"], { code: "ERESTARTSYS" }]);
  });
});

describe("mmap", () => {
  const withMmap: DmaBufOps = { ...maps, mmap() {} };
  it("whole pages only, and the VMA holds a reference", () => {
    const k = kit(linux73);
    const buf = k.exported(withMmap, { sizeBytes: 3 * 4096 + 100 });
    const map = (pgoff: number, pages: number) => refusal(() => k.complete(k.fw.mmapFile(buf, vmaOf(pgoff, pages))));
    expect([map(0, 4), map(1, 3), map(3, 1)]).toEqual(["EINVAL@mmap", "EINVAL@mmap", "EINVAL@mmap"]);
    expect(buf.refs).toBe(1);
    const vma = k.complete(k.fw.mmapFile(buf, vmaOf(0, 3)));
    expect([buf.refs, vma.buf]).toEqual([2, buf]);
    k.complete(k.fw.munmap(vma));
    k.complete(k.fw.munmap(vma));
    expect([buf.refs, vma.buf]).toEqual([1, null]);
  });

  it("an importer's own mmap forwards, at an offset; an exporter's refusal leaves no reference", () => {
    const k = kit(linux73);
    const buf = k.exported(withMmap);
    const vma = k.complete(k.fw.mmapBuffer(buf, vmaOf(0, 1), 3));
    expect([vma.pgoff, buf.refs]).toEqual([3, 2]);
    const no = k.exported({ ...maps, mmap: refuse("ENODEV", "mmap") });
    expect(refusal(() => k.complete(k.fw.mmapFile(no, vmaOf(0, 1))))).toBe("ENODEV@mmap");
    expect([no.refs, refusal(() => k.complete(k.fw.mmapFile(k.exported(maps), vmaOf(0, 1))))]).toEqual([
      1,
      "EINVAL@mmap",
    ]);
  });
});

describe("vmap", () => {
  it("one mapping for all users: the first call maps, the last unmaps", () => {
    const log: string[] = [];
    const k = kit(dmaAddress);
    const buf = k.exported({
      ...maps,
      vmap: () => (log.push("vmap"), { address: 0x1000, isIomem: true }),
      vunmap: () => void log.push("vunmap"),
    });
    const [one, two] = [1, 2].map(() => k.complete(k.fw.vmapBufferUnlocked(buf)));
    expect([one === two, buf.vmaps, log]).toEqual([true, 2, ["vmap"]]);
    for (const map of [one, two]) k.complete(k.fw.vunmapBufferUnlocked(buf, map as never));
    expect([buf.vmaps, log, k.fw.ledger.vmaps]).toEqual([0, ["vmap", "vunmap"], 0]);
    expect(() => k.complete(k.fw.vunmapBufferUnlocked(buf, one as never))).toThrow(BugSignal);
  });
});

describe("files", () => {
  it("shows every buffer once, with a reference, newest last", () => {
    const k = kit(linux73);
    const bufs = [k.exported(maps), k.exported(maps)];
    const seen: number[] = [];
    for (let buf = k.complete(k.fw.nextBuffer(null)); buf; buf = k.complete(k.fw.nextBuffer(buf)))
      seen.push(buf.ino, buf.refs);
    expect([seen, bufs.map((b) => b.refs)]).toEqual([
      [1, 2, 2, 2],
      [1, 1],
    ]);
  });
});

it("events have the names and the format of the kernel's tracepoints", () => {
  const k = kit(linux73);
  const buf = k.exported({ ...maps, mmap() {} });
  const at = k.attach(buf);
  k.complete(k.fw.munmap(k.complete(k.fw.mmapFile(buf, vmaOf(0, 1)))));
  k.complete(k.fw.munmap(k.complete(k.fw.mmapBuffer(buf, vmaOf(0, 1), 0))));
  k.complete(k.fw.detachAttachment(buf, at));
  k.complete(k.fw.put(buf));
  const events = k.fw.trace.events.filter((e) => e.kind === "tracepoint").map((e) => e.text);
  expect(events).toEqual([
    "dma_buf_export: exp_name=x size=16384 ino=1",
    "dma_buf_dynamic_attach: exp_name=x size=16384 ino=1 attachment:imp is_dynamic=1 dev_name=nic",
    "dma_buf_mmap_internal: exp_name=x size=16384 ino=1",
    "dma_buf_mmap: exp_name=x size=16384 ino=1",
    "dma_buf_detach: exp_name=x size=16384 ino=1 attachment:imp is_dynamic=1 dev_name=nic",
    "dma_buf_put: exp_name=x size=16384 ino=1",
  ]);
});

it("a hang and a yield that is no Wait are findings that say who", () => {
  const k = kit(linux73);
  k.scheduler.spawn(
    "sleeper",
    until(
      "for ever",
      () => false,
      () => "Godot",
    ),
  );
  k.scheduler.run();
  k.scheduler.spawn(
    "async",
    (function* (): Op<void> {
      yield Promise.resolve() as never;
    })(),
  );
  k.scheduler.run();
  expect(k.fw.findings.map((f) => [f.requirement, f.message])).toEqual([
    ["linux-7.3/deadlock", "sleeper waits at for ever for Godot"],
    ["linux-7.3/generator", "async yielded what is no Wait: yield* an Op"],
  ]);
});
