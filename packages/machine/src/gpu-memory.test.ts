import { addr, type FabricAddr, PAGE_SIZE } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { DeviceFabric } from "./device-fabric.js";
import { GpuMemory, type GpuMemoryOptions } from "./gpu-memory.js";
import { BAR, bytes, dmaOf, rig } from "./testing.js";

const RAM_AT = 0x2100_0000;

function gpu(options: Partial<GpuMemoryOptions> = {}) {
  const r = rig();
  const ram = { base: addr<never>(RAM_AT), sizeBytes: 4 * PAGE_SIZE };
  return { ...r, memory: new GpuMemory(r.machine, r.gpu.address, { vramBytes: 8 * PAGE_SIZE, ram, ...options }) };
}

describe("VRAM", () => {
  it("below the window is what peers write by the BAR; beyond it is the GPU's alone", () => {
    const { memory, nic, run } = gpu({ windowBytes: 2 * PAGE_SIZE });
    expect(memory.window).toEqual({ physical: BAR, sizeBytes: 2 * PAGE_SIZE });
    run(nic.write(dmaOf(addr(BAR + PAGE_SIZE)), bytes(7)));
    run(nic.write(dmaOf(addr(BAR + 2 * PAGE_SIZE)), bytes(9)));
    expect(memory.read("vram", PAGE_SIZE, 8)).toEqual(bytes(7));
    expect(memory.read("vram", 2 * PAGE_SIZE, 8)).toEqual(bytes(0));
  });

  it("an access may cross pages, and the end of the window", () => {
    const { memory, machine } = gpu({ windowBytes: PAGE_SIZE });
    memory.write("vram", PAGE_SIZE - 4, bytes(5));
    expect(memory.read("vram", PAGE_SIZE - 4, 8)).toEqual(bytes(5));
    expect(machine.memory.read(BAR + PAGE_SIZE - 4, 8)).toEqual(Uint8Array.of(5, 5, 5, 5, 0, 0, 0, 0));
  });

  it("a window of 0 shows nothing, and is no provider; one larger than BAR or VRAM is refused", () => {
    expect(gpu({ windowBytes: 0 }).memory).toMatchObject({ window: null, provider: null });
    expect(() => gpu({ windowBytes: 9 * PAGE_SIZE })).toThrow(/window of 0x9000 bytes is more than/);
    expect(() => gpu({ vramBytes: 2 ** 31 })).toThrow(/more than BAR 0/);
  });

  it("is shown to a fabric whole", () => {
    const r = rig();
    const fabric = new DeviceFabric(r.machine, "hive");
    const ram = { base: addr<never>(RAM_AT), sizeBytes: PAGE_SIZE };
    fabric.join(r.nic);
    fabric.expose(r.nic, PAGE_SIZE);
    const memory = new GpuMemory(r.machine, r.gpu.address, { vramBytes: 2 * PAGE_SIZE, windowBytes: 0, ram, fabric });
    expect(memory.fabric).toEqual({ fabric, base: PAGE_SIZE });
    const at = addr<FabricAddr>(PAGE_SIZE + PAGE_SIZE - 4);
    r.run(fabric.write(r.nic, at, bytes(3)));
    expect(memory.read("vram", PAGE_SIZE - 4, 8)).toEqual(bytes(3));
    expect(r.run(fabric.read(r.nic, at, 8))).toEqual({ kind: "done", bytes: bytes(3) });
  });
});

describe("pages of RAM", () => {
  it("are the lowest that are free, one by one, or none at all", () => {
    const { memory } = gpu();
    const page = (i: number) => ({ start: RAM_AT + i * PAGE_SIZE, sizeBytes: PAGE_SIZE });
    expect(memory.allocPages(3)).toEqual([page(0), page(1), page(2)]);
    expect(memory.allocPages(2)).toBeNull();
    memory.freePages([page(1)]);
    expect(memory.allocPages(2)).toEqual([page(1), page(3)]);
    expect(memory.ledger.gpuPages).toBe(4);
    memory.freePages([{ start: RAM_AT, sizeBytes: 4 * PAGE_SIZE }]);
    expect(memory.ledger.gpuPages).toBe(0);
  });

  it("are mapped for the kernel as RAM is cached, and what the window shows as a BAR is", () => {
    const { memory, machine, run } = gpu({ windowBytes: PAGE_SIZE });
    memory.write("vram", 0, bytes(3));
    const at = memory.vmap([BAR, RAM_AT].map((start) => ({ start, sizeBytes: PAGE_SIZE })));
    expect(run(memory.kernel.read(at, 8))).toEqual({ kind: "done", bytes: bytes(3) });
    run(memory.kernel.read(at + PAGE_SIZE, 8));
    expect(machine.attributes.records.map((r) => r.mapped)).toEqual(["wc", "wb"]);
  });

  it("are mapped for the kernel one after the other, and the mapping is counted", () => {
    const { memory, machine, run } = gpu();
    memory.write("gtt", RAM_AT, bytes(1));
    memory.write("gtt", RAM_AT + 2 * PAGE_SIZE, bytes(2));
    const before = machine.resources.read();
    const blocks = [2, 0].map((i) => ({ start: RAM_AT + i * PAGE_SIZE, sizeBytes: PAGE_SIZE }));
    const at = memory.vmap(blocks);
    const other = memory.vmap(blocks);
    expect(other).toBe(at + 2 * PAGE_SIZE);
    expect(run(memory.kernel.read(at, 8))).toEqual({ kind: "done", bytes: bytes(2) });
    expect(run(memory.kernel.read(at + PAGE_SIZE, 8))).toEqual({ kind: "done", bytes: bytes(1) });
    expect(machine.resources.read()["gpuVmaps"]).toBe(2);
    memory.vunmap(other);
    memory.vunmap(at);
    run(memory.kernel.flushTlb());
    expect(run(memory.kernel.read(at, 8)).kind).toBe("page-fault");
    expect(machine.resources.read()["gpuVmaps"]).toBe(before["gpuVmaps"]);
  });
});

describe("the copy engine", () => {
  it("copies page by page between domains, whatever the blocks are", () => {
    const { memory, run } = gpu({ windowBytes: PAGE_SIZE });
    memory.write("vram", 0, bytes(1));
    memory.write("vram", PAGE_SIZE, bytes(2));
    const from = { domain: "vram", blocks: [{ start: 0, sizeBytes: 2 * PAGE_SIZE }] } as const;
    const blocks = [3, 1].map((i) => ({ start: RAM_AT + i * PAGE_SIZE, sizeBytes: PAGE_SIZE }));
    run(memory.copy(from, { domain: "gtt", blocks }));
    expect([3, 1].map((i) => memory.read("gtt", RAM_AT + i * PAGE_SIZE, 1)[0])).toEqual([1, 2]);
    expect(() => run(memory.copy(from, { domain: "gtt", blocks: blocks.slice(1) }))).toThrow(/smaller than its source/);
  });

  it("pulled out in the middle it copies no more, and comes to its end", () => {
    const { memory, machine, gpu: fn, run } = gpu();
    for (const page of [0, 1]) memory.write("vram", page * PAGE_SIZE, bytes(1));
    const blocks = [{ start: RAM_AT, sizeBytes: 2 * PAGE_SIZE }];
    const copy = memory.copy(
      { domain: "vram", blocks: [{ start: 0, sizeBytes: 2 * PAGE_SIZE }] },
      { domain: "gtt", blocks },
    );
    copy.next();
    copy.next();
    machine.functions.unplug(fn);
    run(copy);
    expect([0, 1].map((page) => memory.read("gtt", RAM_AT + page * PAGE_SIZE, 1)[0])).toEqual([1, 0]);
  });

  it("wiped memory reads as poison", () => {
    const { memory } = gpu({ windowBytes: PAGE_SIZE });
    memory.wipe({ domain: "vram", blocks: [{ start: 0, sizeBytes: 2 * PAGE_SIZE }] });
    const poison = Uint8Array.of(0xbe, 0xed, 0xb0, 0xd0);
    for (const at of [0, 2 * PAGE_SIZE - 4]) expect(memory.read("vram", at, 4)).toEqual(poison);
  });
});

describe("runtime power", () => {
  it("who keeps it awake keeps it from sleeping; asking if it is awake wakes nobody", () => {
    const { memory, run } = gpu();
    expect(memory.suspend()).toBe(true);
    expect([memory.runtimeGetIfActive(), memory.active, memory.ledger.gpuRuntimeRefs]).toEqual([false, false, 0]);
    run(memory.runtimeGet());
    expect([memory.active, memory.suspend(), memory.active]).toEqual([true, false, true]);
    expect(memory.runtimeGet().next().done).toBe(true);
    memory.runtimePut();
    expect([memory.runtimeGetIfActive(), memory.ledger.gpuRuntimeRefs]).toEqual([true, 2]);
    memory.runtimePut();
    memory.runtimePut();
    expect(() => memory.runtimePut()).toThrow(/put more often than got/);
    expect([memory.suspend(), memory.active]).toEqual([true, false]);
  });
});
