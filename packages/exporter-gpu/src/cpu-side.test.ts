import { refusal } from "@dma-buf/config/refusal";
import { type Op, type PfnAnswer, perform, until, Usage, type Vma } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, bytes, job, PAGE, RAM, refused, rig, type Rig, type RigOptions, waitsFor } from "./testing/rig.js";
import type { BufferObject, BufferObjectOptions } from "./index.js";

const ID = "linux-7.3";

function world(options: RigOptions = {}, bo: Partial<BufferObjectOptions> = {}) {
  const r = rig(ID, options);
  const shared = r.shared(2, bo);
  const map = (pages = 2): Vma => r.run(r.fw.mmapFile(shared.buf, { pgoff: 0, pages, buf: null, fault: null }));
  const fault = (vma: Vma, page: number): PfnAnswer => r.run(perform(vma.fault?.(page)) as Op<PfnAnswer>);
  return { ...r, ...shared, map, fault };
}

/** As the GPU itself writes. */
function write({ memory }: Rig, { place }: BufferObject, offset: number, data: Uint8Array): void {
  memory.write(place?.domain ?? "vram", (place?.blocks[0]?.start ?? 0) + offset, data);
}

describe("begin_cpu_access", () => {
  it.each([
    ["from-device", "gtt"],
    ["bidirectional", "gtt"],
    ["to-device", "vram"],
  ] as const)("%s: the buffer is in %s, with its bytes", (direction, domain) => {
    const r = world();
    r.memory.write("vram", 0, bytes(7));
    r.run(r.fw.beginAccess(r.buf, direction));
    expect(r.bo.place?.domain).toBe(domain);
    expect(r.memory.read(domain, r.bo.place?.blocks[0]?.start ?? -1, 8)).toEqual(bytes(7));
    r.run(r.fw.endAccess(r.buf, direction));
  });

  it.each<[string, RigOptions, Partial<BufferObjectOptions>]>([
    ["a display that cannot show RAM", { exporter: { displayFromGtt: false } }, {}],
    ["a buffer that may not be in RAM", {}, { allowed: ["vram"] }],
  ])("%s: it stays", (_name, options, bo) => {
    const r = world(options, bo);
    r.run(r.fw.beginAccess(r.buf, "from-device"));
    expect(r.bo.place?.domain).toBe("vram");
  });

  it("pinned, or gone, it stays, and that is no error", () => {
    const r = world();
    r.run(r.exporter.pin(r.bo));
    r.run(r.fw.beginAccess(r.buf, "from-device"));
    expect(r.bo.place?.domain).toBe("vram");
    r.run(r.exporter.unpin(r.bo));
    r.run(r.exporter.lose(r.bo));
    r.run(r.fw.beginAccess(r.buf, "from-device"));
    expect(r.bo.place).toBeNull();
  });

  it("no room in RAM: ENOMEM@cpu-access", () => {
    const r = world({ ramPages: 1 });
    expect(refused(r, () => r.run(r.fw.beginAccess(r.buf, "from-device")))).toBe("ENOMEM@cpu-access");
  });

  it("a signal while it waits for the reservation: ERESTARTSYS", () => {
    const r = world();
    const guard = r.bo.resv.tryLock();
    const task = r.scheduler.spawn("read", r.fw.beginAccess(r.buf, "from-device"));
    r.scheduler.signal(task);
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(task.error).toMatchObject({ code: "ERESTARTSYS" });
    guard?.[Symbol.dispose]();
    expect(r.bo.place?.domain).toBe("vram");
  });
});

describe("mmap", () => {
  it("a fault is answered with the frame in the BAR, or of RAM; a move tells", () => {
    const r = world();
    const vma = r.map();
    expect(r.fault(vma, 1)).toEqual({ pfn: BAR / PAGE + 1, maxOrder: 1 });
    r.run(r.exporter.evict(r.bo));
    expect(r.fault(vma, 1)).toEqual({ pfn: RAM / PAGE + 1, maxOrder: 1 });
    r.run(r.fw.munmap(vma));
  });

  it("counts pages from where the VMA begins in the buffer", () => {
    const r = world();
    const vma = r.run(r.fw.mmapFile(r.buf, { pgoff: 1, pages: 1, buf: null, fault: null }));
    expect(r.fault(vma, 0).pfn).toBe(BAR / PAGE + 1);
    expect(refused(r, () => r.fault(vma, 1))).toBe("EFAULT@mmap");
  });

  it("what lies beyond the window is moved into it, or to RAM where it is full", () => {
    const r = world({ windowPages: 2 }, { noCpuAccess: true });
    expect(r.fault(r.map(), 0).pfn).toBe(BAR / PAGE);
    const full = world({ windowPages: 1 }, { noCpuAccess: true });
    expect(full.fault(full.map(), 0).pfn).toBe(RAM / PAGE);
  });

  it.each<[string, RigOptions, Partial<BufferObjectOptions>, boolean]>([
    ["pinned beyond the window", { windowPages: 2 }, { noCpuAccess: true }, true],
    ["VRAM that no BAR shows, and may not be RAM", { windowPages: 0 }, { allowed: ["vram"] }, false],
  ])("%s: EFAULT@mmap, what a process sees as SIGBUS", (_name, options, bo, pins) => {
    const r = world(options, bo);
    if (pins) r.run(r.exporter.pin(r.bo));
    const vma = r.map();
    expect(refused(r, () => r.fault(vma, 0))).toBe("EFAULT@mmap");
  });

  it("moved for a fault while an importer never comes back: whoever is ended sees no SIGBUS", () => {
    const r = world({ windowPages: 2 }, { noCpuAccess: true });
    const ops = { allowPeer2peer: true, invalidateMappings: () => until("for ever", () => false) };
    r.run(r.fw.dynamicAttach(r.buf, r.device, { name: "nic", ops }));
    const fault = r.scheduler.spawn("fault", perform(r.map().fault?.(0)) as Op<PfnAnswer>);
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([fault.state, fault.error, r.bo.resv.locked]).toEqual(["ended", undefined, false]);
  });

  it("gone: ENODEV@mmap, at the fault and at mmap", () => {
    const r = world();
    const vma = r.map();
    r.run(r.exporter.lose(r.bo));
    expect(refused(r, () => r.fault(vma, 0))).toBe("ENODEV@mmap");
    expect(refused(r, () => r.map())).toBe("ENODEV@mmap");
  });

  it("made with NO_CPU_ACCESS: as posted EPERM@mmap, else it is moved when it is touched", () => {
    const r = world({ exporter: { asPosted: true } }, { noCpuAccess: true });
    expect(refused(r, () => r.map())).toBe("EPERM@mmap");
    expect(refusal(() => world({}, { noCpuAccess: true }).map())).toBe("ok");
  });

  it("a fault during a move waits until the bytes are there", () => {
    const r = world();
    r.memory.write("vram", 0, bytes(7));
    const vma = r.map();
    r.scheduler.spawn("evict", r.exporter.evict(r.bo));
    const seen = r.scheduler.spawn(
      "fault",
      (function* () {
        while (r.bo.place?.domain === "vram") yield { site: "test", ready: null };
        const { pfn } = yield* perform(vma.fault?.(0)) as Op<PfnAnswer>;
        return r.machine.memory.read(pfn * PAGE, 8);
      })(),
    );
    expect(r.scheduler.run()).toEqual({ kind: "done" });
    expect(seen.result).toEqual(bytes(7));
  });
});

describe("vmap", () => {
  it.each([
    ["where it is preferred: VRAM, where the BAR shows it", { windowPages: 8 }, "vram", { noCpuAccess: true }],
    ["where it is preferred: RAM", {}, "gtt", { preferred: "gtt" }],
    ["RAM, where the window is full", { windowPages: 1 }, "gtt", {}],
    ["RAM, without a window", { windowPages: 0 }, "gtt", {}],
  ] as const)("keeps the buffer, %s, as long as it lasts, readable by the kernel", (_, options, domain, made) => {
    const r = world(options, made);
    write(r, r.bo, PAGE, bytes(7));
    const map = r.run(r.fw.vmapBufferUnlocked(r.buf));
    expect([r.bo.place?.domain, r.bo.pinCount, map.isIomem]).toEqual([domain, 1, domain === "vram"]);
    expect(r.run(r.memory.kernel.read(map.address + PAGE, 8))).toEqual({ kind: "done", bytes: bytes(7) });
    const other = domain === "vram" ? "gtt" : "vram";
    expect(refused(r, () => r.run(r.exporter.move(r.bo, other)))).toBe("EBUSY@map");
    r.run(r.fw.vunmapBufferUnlocked(r.buf, map));
    expect([r.bo.pinCount, r.memory.ledger.gpuVmaps]).toEqual([0, 0]);
  });

  it("waits for KERNEL fences, as a fault does, and for no other", () => {
    for (const usage of [Usage.KERNEL, Usage.WRITE]) {
      const r = world({}, { preferred: "gtt" });
      expect(waitsFor(r, r.bo, usage, r.fw.vmapBufferUnlocked(r.buf))).toBe(usage === Usage.KERNEL);
      const vma = r.map();
      expect(waitsFor(r, r.bo, usage, perform(vma.fault?.(0)) as Op<PfnAnswer>)).toBe(usage === Usage.KERNEL);
    }
  });

  it("as posted it does not wait: who reads sees the bytes when the copy is done", () => {
    const r = world({ windowPages: 8, exporter: { asPosted: true } }, { noCpuAccess: true });
    expect(waitsFor(r, r.bo, Usage.KERNEL, r.fw.vmapBufferUnlocked(r.buf))).toBe(false);
  });

  it("pinned beyond the window, or not allowed in RAM without one: EINVAL@cpu-access", () => {
    const r = world({ windowPages: 8 }, { noCpuAccess: true });
    r.run(r.exporter.pin(r.bo));
    expect(refused(r, () => r.run(r.fw.vmapBufferUnlocked(r.buf)))).toBe("EINVAL@cpu-access");
    const vram = world({ windowPages: 0 }, { allowed: ["vram"] });
    expect(refused(vram, () => vram.run(vram.fw.vmapBufferUnlocked(vram.buf)))).toBe("EINVAL@cpu-access");
  });

  it("ended while it waits, nothing stays pinned", () => {
    const r = world();
    const fence = job(r, r.bo, Usage.KERNEL);
    r.scheduler.spawn("vmap", r.fw.vmapBufferUnlocked(r.buf));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([r.bo.pinCount, r.bo.resv.locked]).toEqual([0, false]);
    fence.signal();
  });

  it("gone: ENODEV@cpu-access; without memory: ENOMEM@cpu-access", () => {
    const r = world();
    r.run(r.exporter.lose(r.bo));
    expect(refused(r, () => r.run(r.fw.vmapBufferUnlocked(r.buf)))).toBe("ENODEV@cpu-access");
    const poor = world({ framework: { allocFails: (op) => op === "ttm_bo_vmap" } });
    expect(refused(poor, () => poor.run(poor.fw.vmapBufferUnlocked(poor.buf)))).toBe("ENOMEM@cpu-access");
  });
});
