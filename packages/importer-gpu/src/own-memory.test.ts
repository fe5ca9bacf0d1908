/** Frames and bus addresses of a virtual function's BAR: the GPU finds its own memory behind them, and nobody else's. */
import { addr, type BusAddr, type FabricAddr, type PhysAddr, type Run } from "@dma-buf/core";
import { refusal } from "@dma-buf/config/refusal";
import { DeviceFabric, type MachineDevice } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import type { GpuHost } from "./index.js";
import { ownMemory } from "./own-memory.js";
import { BAR, bytes, does, hostOf, leave, PAGE, read, type Rig, rig, seated, VA, write } from "./testing/rig.js";
import { SERVING } from "./testing/variants.js";

const SLICE_PAGES = 2;

/** The GPU's memory: a page of its own, and a slice that the BAR of its function shows. */
function withSlice(r: Rig): { readonly host: GpuHost; readonly base: number } {
  const { machine } = r;
  const device = r.host.device as MachineDevice;
  const memory = new DeviceFabric(machine, "its own memory");
  memory.join(device);
  memory.expose(device, PAGE);
  const base = memory.show(device, {
    sizeBytes: SLICE_PAGES * PAGE,
    read: (at, length) => machine.memory.read(addr<PhysAddr>(BAR + at), length),
    write: (at, data) => machine.memory.write(addr<PhysAddr>(BAR + at), data),
  });
  const bar = { physical: addr<PhysAddr>(BAR), sizeBytes: 4 * PAGE };
  const slice = { base, sizeBytes: SLICE_PAGES * PAGE };
  const vf = { name: "a virtual function", bar, busOffsetBytes: 0, slice };
  return { host: { ...hostOf(machine, device, memory), virtualFunctions: [vf] }, base };
}

const opaque = (id: string): boolean => id === "dma-address" || id === "linux-7.3";

describe.each(SERVING)("%s", (id) => {
  it("a job gets to the slice: inside the GPU where the address says what it is, else over the bus", () => {
    const r = rig(id);
    const { host, base } = withSlice(r);
    const gpu = r.importerFor(host);
    const before = r.counts();
    const buf = r.bar(SLICE_PAGES);
    const seat = r.run(seated(gpu, buf));
    expect(r.run(does(gpu, seat, write(5, PAGE), read(PAGE)))[1]).toEqual({ kind: "done", bytes: bytes(5) });
    expect(r.machine.memory.read(addr<PhysAddr>(BAR + PAGE), 8)).toEqual(bytes(5));
    expect(r.machine.arrivals).toHaveLength(opaque(id) ? 2 : 0);
    if (!opaque(id)) expect(seat.vm.reaches(VA)).toBe(base);
    r.run(r.vfio.revoke());
    expect([seat.vm.reaches(VA), gpu.ledger.runs]).toEqual([null, 0]);
    r.run(leave(gpu, seat));
    r.run(r.fw.put(buf));
    expect(r.counts()).toEqual(before);
  });

  it("what ends behind the slice is refused, if it can be told, and leaves nothing", () => {
    const r = rig(id);
    const gpu = r.importerFor(withSlice(r).host);
    const seat = r.run(seated(gpu, r.bar(SLICE_PAGES + 1)));
    expect(r.answer(() => gpu.validate(seat.vm, [{ bo: seat.bo }]))).toBe(opaque(id) ? "ok" : "EINVAL@map");
    if (!opaque(id)) expect([gpu.ledger.runs, seat.vm.reaches(VA)]).toEqual([0, null]);
  });
});

describe("which runs are its own memory", () => {
  const { host, base } = withSlice(rig("annotated-address"));
  const [bus] = host.device.spaces;
  const bridge = bus?.kind === "pci-bus" ? bus.bridge : {};
  const attributes = { cache: "uc", snoop: false } as const;
  const frame = (at: number, pages = 1): Run => ({
    kind: "cpu-physical",
    offset: 0,
    sizeBytes: pages * PAGE,
    address: addr<PhysAddr>(at),
    attributes: null,
  });
  const onBus = (at: number, more: object = {}): Run => ({
    kind: "pci-bus",
    offset: 0,
    sizeBytes: PAGE,
    address: addr<BusAddr>(at),
    bridge,
    attributes,
    ...more,
  });
  const moved = { ...host, virtualFunctions: host.virtualFunctions?.map((vf) => ({ ...vf, busOffsetBytes: 2 ** 36 })) };
  const found = (run: Run, by: GpuHost = host): string | number => {
    let address: number | null = null;
    const answer = refusal(() => void (address = ownMemory(by, run, true)?.address ?? null));
    return answer === "ok" ? (address ?? "not its own") : answer;
  };

  it.each<[string, Run, string | number, GpuHost?]>([
    ["the first page", frame(BAR), base],
    ["all of the slice", frame(BAR, SLICE_PAGES), base],
    ["its last page", frame(BAR + PAGE), base + PAGE],
    ["the page behind the slice, in the BAR", frame(BAR + 2 * PAGE), "EINVAL@map"],
    ["a run across its end", frame(BAR + PAGE, 2), "EINVAL@map"],
    ["the page behind the BAR", frame(BAR + 4 * PAGE), "not its own"],
    ["the page before the BAR", frame(BAR - PAGE), "not its own"],
    ["on its bus", onBus(BAR), base],
    ["on its bus, counted from another zero", onBus(BAR - 2 ** 36), base, moved],
    ["and by the CPU's number there", onBus(BAR), "not its own", moved],
    ["on another bus", onBus(BAR, { bridge: {} }), "not its own"],
    ["one VM's alone", onBus(BAR, { attributes: { ...attributes, owner: {} } }), "not its own"],
    ["a DMA address of that number", { ...frame(BAR), kind: "dma" } as Run, "not its own"],
    ["a fabric's of that number", { ...onBus(BAR), kind: "device-private", fabric: {} } as never, "not its own"],
    ["without a way into its own memory", frame(BAR), "not its own", { ...host, fabric: undefined }],
    ["without virtual functions", frame(BAR), "not its own", { ...host, virtualFunctions: undefined }],
  ])("%s", (_what, run, expected, by) => expect(found(run, by)).toBe(expected));

  it("a fault to inject: nobody compares with the slice", () =>
    expect(ownMemory(host, frame(BAR + 2 * PAGE), false)?.address).toBe(addr<FabricAddr>(base + 2 * PAGE)));
});
