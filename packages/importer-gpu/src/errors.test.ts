/** Every errno that `importer.ts` names, and nothing left behind by any of them. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, DmaFence, DmaResv, type Op, type PhysAddr, type Run, until, Usage } from "@dma-buf/core";
import { createTableMemory } from "@dma-buf/page-table";
import { describe, expect, it } from "vitest";
import { gpuImporter } from "./linux-7.3.js";
import type { Command, GpuHost, GpuOptions, GpuVm, ImportedBuffer } from "./index.js";
import { Light } from "./testing/light.js";
import { passing } from "./testing/search.js";
import { does, leave, PAGE, type Rig, rig, type RigOptions, seated, VA, write } from "./testing/rig.js";
import { SERVING } from "./testing/variants.js";

const open = (options?: RigOptions) => {
  const r = rig("linux-7.3", options);
  const buf = r.bar(2);
  return { r, buf, ...r.run(seated(r.gpu, buf)) };
};
const submit = (r: Rig, vm: GpuVm, bo: ImportedBuffer, ...commands: Command[]) =>
  r.gpu.submit({ vm, buffers: [{ bo }], commands });

describe("import and close", () => {
  it("vma: EFAULT at map, before anything is attached", () => {
    const r = rig("vma");
    const buf = r.bar(1);
    expect(r.answer(() => r.gpu.import(buf))).toBe("EFAULT@map");
  });

  it("EINVAL: no dma-buf; options and a host that are none, and words that no option has", () => {
    const r = rig("linux-7.3");
    expect(r.answer(() => r.gpu.import(null as never))).toBe("EINVAL@fd");
    const made = (options: unknown, host: unknown = r.host) =>
      refusal(() => gpuImporter(options as GpuOptions)(r.fw, host as GpuHost));
    for (const options of [null, { importer: "dynamik" }, { driver: "nouveau" }])
      expect(made(options)).toBe("EINVAL@fd");
    expect(() => gpuImporter({ driver: "nouveau" as never })(r.fw, r.host)).toThrow(/nouveau: give amdgpu, xe/);
    for (const host of [null, {}]) expect(made({}, host)).toBe("EINVAL@fd");
    for (const importer of ["dynamic", "pinned", "static"]) expect(made({ importer, driver: "xe" })).toBe("ok");
  });

  it("the same dma-buf is the same object, with a handle more", () => {
    const { r, buf, bo } = open();
    expect(r.run(r.gpu.import(buf))).toBe(bo);
    expect([bo.refs, buf.attachments.length]).toEqual([2, 1]);
    r.run(r.gpu.close(bo));
    expect(buf.attachments).toHaveLength(1);
  });

  it("two imports at once make one object", () => {
    const r = rig("linux-7.3");
    const buf = r.bar(1);
    const tasks = ["a", "b"].map((name) => r.scheduler.spawn(name, r.gpu.import(buf)));
    r.scheduler.run();
    expect(tasks[0]?.result).toBe(tasks[1]?.result);
    expect(buf.attachments).toHaveLength(1);
  });

  it("ENOENT: closed, and another driver's", () => {
    const { r, bo } = open();
    r.run(r.gpu.close(bo));
    expect(r.answer(() => r.gpu.close(bo))).toBe("ENOENT@fd");
    const other = open();
    expect(r.answer(() => r.gpu.close(other.bo))).toBe("ENOENT@fd");
  });

  it("a close takes the buffer out of every address space, and detaches", () => {
    const { r, buf, bo, vm } = open();
    const second = r.gpu.createVm();
    second.map(bo, { va: 0 });
    r.run(r.gpu.validate(second, [{ bo }]));
    r.run(does(r.gpu, { vm, bo }, write(1)));
    r.run(r.gpu.close(bo));
    expect([second.reaches(0), vm.reaches(VA), buf.attachments.length, buf.refs]).toEqual([null, null, 0, 1]);
    expect(r.gpu.ledger).toMatchObject({ buffers: 0, ranges: 0, runs: 0 });
  });
});

describe("address spaces", () => {
  it("EINVAL: what is no range, beyond the buffer or the GPU's address, or taken", () => {
    const { r, vm, bo } = open();
    const map = (range: Parameters<GpuVm["map"]>[1]) => r.answer(() => vm.map(bo, range));
    expect(map({ va: 1 })).toBe("EINVAL@map");
    expect(map({ va: 0, sizeBytes: 100 })).toBe("EINVAL@map");
    expect(map({ va: 0, sizeBytes: 0 })).toBe("EINVAL@map");
    expect(map({ va: 0, offset: PAGE, sizeBytes: 2 * PAGE })).toBe("EINVAL@map");
    expect(map({ va: -PAGE })).toBe("EINVAL@map");
    expect(map({ va: 2 ** 48 - PAGE })).toBe("EINVAL@map");
    expect(map({ va: VA + PAGE })).toBe("EINVAL@map");
    expect(map({ va: VA - PAGE, sizeBytes: PAGE })).toBe("ok");
  });

  it("ENOENT: closed, destroyed, and what is not mapped", () => {
    const { r, vm, bo } = open();
    expect(r.answer(() => vm.unmap(0))).toBe("ENOENT@map");
    const gone = r.gpu.createVm();
    r.run(gone.destroy());
    expect(r.answer(() => gone.destroy())).toBe("ENOENT@map");
    expect(r.answer(() => gone.map(bo, { va: 0 }))).toBe("ENOENT@map");
    expect(r.answer(() => submit(r, gone, bo))).toBe("ENOENT@fd");
    r.run(r.gpu.close(bo));
    expect(r.answer(() => vm.map(bo, { va: 0 }))).toBe("ENOENT@fd");
    expect(r.answer(() => submit(r, vm, bo))).toBe("ENOENT@fd");
  });

  it("ENOMEM: no table left for the root, and none for an entry; a later try succeeds", () => {
    const r = rig("linux-7.3");
    const tables = createTableMemory({ basePhys: addr<PhysAddr>(0x9000_0000), sizeBytes: 5 * PAGE });
    const gpu = gpuImporter()(r.fw, { ...r.host, tables });
    const [first, second] = [gpu.createVm(), gpu.createVm()];
    const bo = r.run(gpu.import(r.bar(1)));
    first.map(bo, { va: 0 });
    const before = { ...gpu.ledger, maps: r.fw.ledger.mappings };
    // Three below the root: of five, two are roots.
    tables.allocTable();
    expect(refusal(() => r.run(gpu.validate(first, [{ bo }])))).toBe("ENOMEM@map");
    expect({ ...gpu.ledger, maps: r.fw.ledger.mappings }).toEqual(before);
    r.run(second.destroy());
    r.run(gpu.validate(first, [{ bo }]));
    const full = { ...r.host, tables };
    expect(refusal(() => gpuImporter()(r.fw, full).createVm())).toBe("ENOMEM@map");
  });

  it("unmap clears and flushes: the TLB answers no more", () => {
    const { r, vm, bo } = open();
    r.run(does(r.gpu, { vm, bo }, write(1)));
    r.run(vm.unmap(VA));
    const results = r.run(does(r.gpu, { vm, bo }, write(2)));
    expect(results[0]).toMatchObject({ kind: "fault", by: vm.name });
    const lazy = open({ importer: { flush: false } });
    lazy.r.run(does(lazy.r.gpu, lazy, write(1)));
    lazy.r.run(lazy.vm.unmap(VA));
    expect(lazy.r.run(does(lazy.r.gpu, lazy, write(2)))[0]?.kind).toBe("done");
  });

  it("a read-only range refuses a write, and says so", () => {
    const { r, vm, bo } = open();
    vm.map(bo, { va: 0, write: false });
    const commands: Command[] = [
      { do: "read", va: 0, sizeBytes: 4 },
      { do: "write", va: 0, bytes: Uint8Array.of(1) },
    ];
    const [ok, no] = r.run(does(r.gpu, { vm, bo }, ...commands));
    expect([ok?.kind, no]).toEqual([
      "done",
      expect.objectContaining({ kind: "fault", reason: expect.stringMatching(/permission/) }),
    ]);
  });
});

describe("submissions", () => {
  it("EINVAL: commands and lists that are none", () => {
    const { r, vm, bo } = open();
    const bad = (commands: unknown) =>
      r.answer(() => r.gpu.submit({ vm, buffers: [{ bo }], commands: commands as Command[] }));
    expect(bad(null)).toBe("EINVAL@fd");
    expect(bad([{ do: "dance" }])).toBe("EINVAL@fd");
    expect(bad([{ do: "read", va: -1, sizeBytes: 1 }])).toBe("EINVAL@fd");
    expect(bad([{ do: "read", va: 0n, sizeBytes: 1 }])).toBe("EINVAL@fd");
    expect(bad([{ do: "read", va: Number.NaN, sizeBytes: 1 }])).toBe("EINVAL@fd");
    expect(bad([{ do: "write", va: 0 }])).toBe("EINVAL@fd");
    for (const bytes of ["hi", [1], null]) expect(bad([{ do: "write", va: VA, bytes }])).toBe("EINVAL@fd");
    const sync = "none" as never;
    expect(r.answer(() => r.gpu.submit({ vm, buffers: [{ bo }], commands: [], sync }))).toBe("EINVAL@fd");
    expect(r.answer(() => r.gpu.submit(null as never))).toBe("EINVAL@fd");
    expect(bad([{ do: "wait" }])).toBe("EINVAL@fd");
    expect(bad([null])).toBe("EINVAL@fd");
    expect(r.answer(() => r.gpu.submit({ vm, buffers: [null] as never, commands: [] }))).toBe("EINVAL@fd");
    expect(bad([{ do: "read", va: 0, sizeBytes: 0.5 }])).toBe("EINVAL@fd");
    expect(r.answer(() => r.gpu.submit({ vm, buffers: null as never, commands: [] }))).toBe("EINVAL@fd");
  });

  it("EALREADY stays inside: a buffer twice on the list, and two dma-bufs of one reservation, which has one fence", () => {
    const { r, vm } = open();
    const { env } = r.fw;
    const resv = new DmaResv("shared", env);
    const at = (n: number): Run => ({ kind: "dma", offset: 0, sizeBytes: PAGE, address: addr(0x40_0000_0000 + n) });
    const ops = (n: number) => ({ mapDmaBuf: () => ({ runs: [at(n)] }), unmapDmaBuf() {}, release() {} });
    const [a, b] = [0, PAGE].map((n) =>
      r.run(r.gpu.import(r.fw.export({ exporterName: "twin", ops: ops(n), priv: {}, sizeBytes: PAGE, resv }))),
    ) as [ImportedBuffer, ImportedBuffer];
    const gate = new DmaFence(env, { driverName: () => "x", timelineName: () => "y" }, env.allocContexts(1), 1);
    const buffers = [{ bo: a }, { bo: b, write: false }, { bo: a, write: false }];
    const usages = r.run(
      (function* () {
        const { fence } = yield* r.gpu.submit({ vm, buffers, commands: [{ do: "wait", fence: gate }] });
        using held = yield* resv.lock();
        const slots = resv.forEach(held, Usage.BOOKKEEP).map(({ usage }) => usage);
        gate.signal();
        fence.put();
        return slots;
      })(),
    );
    expect([usages, r.fw.findings]).toEqual([[Usage.WRITE], []]);
  });

  it.each([
    ["implicit", Usage.WRITE, false],
    ["explicit", Usage.BOOKKEEP, true],
  ] as const)(
    "sync %s: what its fence is added as, and whether it runs before another's write is over",
    (sync, usage, runs) => {
      const { r, vm, bo, buf } = open();
      const { env } = r.fw;
      const theirs = new DmaFence(env, { driverName: () => "x", timelineName: () => "y" }, env.allocContexts(1), 1);
      const told = r.run(
        (function* () {
          {
            using held = yield* buf.resv.lock();
            buf.resv.reserveFences(held, 1);
            buf.resv.addFence(held, theirs, Usage.WRITE);
          }
          const { fence } = yield* r.gpu.submit({ vm, buffers: [{ bo }], commands: [write(1)], sync });
          using held = yield* buf.resv.lock();
          const added = buf.resv.forEach(held, Usage.BOOKKEEP).find((slot) => slot.fence === fence)?.usage;
          yield* until(
            "quiet",
            () => false,
            () => "time",
            r.scheduler.now + 1,
          );
          const ran = fence.signaled;
          theirs.signal();
          fence.put();
          return [added, ran];
        })(),
      );
      expect(told).toEqual([usage, runs]);
    },
  );

  it("ENODEV: revoked; the list's other buffers are as they were", () => {
    const { r, vm, bo } = open();
    const ram = r.bo(1);
    const other = r.run(r.gpu.import(ram.buf));
    r.run(r.vfio.revoke());
    const list = [{ bo: other }, { bo }];
    expect(r.answer(() => r.gpu.submit({ vm, buffers: list, commands: [] }))).toBe("ENODEV@map");
    expect(other.runs).toEqual([]);
  });

  it("EINVAL: no route, where the exporter says so at map only", () => {
    const r = rig("linux-7.3", { vfio: { asPosted: true }, base: "T2", allowlisted: false });
    const buf = r.bar(1);
    const seat = r.run(seated(r.gpu, buf));
    expect(r.answer(() => does(r.gpu, seat, write(1)))).toBe("EINVAL@map");
  });

  it("EINTR: a signal while another holds the buffer", () => {
    const { r, vm, bo, buf } = open();
    let isOver = false;
    r.scheduler.spawn(
      "other",
      holds(buf.resv, () => isOver),
    );
    const task = r.scheduler.spawn(
      "user",
      ended(submit(r, vm, bo), () => (isOver = true)),
    );
    r.scheduler.signal(task);
    r.scheduler.run();
    expect(task.error instanceof DmaBufError && `${task.error.code}@${task.error.stage}`).toBe("EINTR@lock");
    expect(buf.resv.locked).toBe(false);
  });

  it.each([
    ["dma_resv_reserve_fences", "ENOMEM@lock"],
    ["dma_resv_get_fences", "ENOMEM@lock"],
  ])("ENOMEM in %s: what was mapped for it is not", (op, told) => {
    let fails = false;
    const { r, vm, bo } = open({ framework: { allocFails: (what) => fails && what === op } });
    const busy = new DmaFence(
      r.fw.env,
      { driverName: () => "x", timelineName: () => "y" },
      r.fw.env.allocContexts(1),
      1,
    );
    const ram = r.bo(1);
    const other = r.run(r.gpu.import(ram.buf));
    const fill = function* (): Op<void> {
      using held = yield* other.buf.resv.lock();
      held.resv.reserveFences(held, 1);
      held.resv.addFence(held, busy, Usage.KERNEL);
    };
    if (op.includes("get")) r.run(fill());
    fails = true;
    expect(r.answer(() => r.gpu.submit({ vm, buffers: [{ bo: other }, { bo }], commands: [] }))).toBe(told);
    fails = false;
    busy.signal();
    expect([other.runs, bo.runs]).toEqual([[], []]);
    r.run(does(r.gpu, { vm, bo }, write(1)));
    r.run(leave(r.gpu, { vm, bo }));
  });

  it("EAGAIN: what is not listed was revoked between the look at it and the queue; again it goes", () => {
    const scheduler = passing("amdgpu.notifier_lock");
    const light = new Light(scheduler, "linux-7.3", {});
    const seat = light.run(seated(light.gpu, light.bar()));
    light.run(does(light.gpu, seat, write(1)));
    const nothing = () => light.gpu.submit({ vm: seat.vm, buffers: [], commands: [] });
    const task = scheduler.spawn("user", nothing());
    scheduler.spawn("vmm", light.vfio.revoke());
    scheduler.run();
    expect(task.error instanceof DmaBufError && `${task.error.code}@${task.error.stage}`).toBe("EAGAIN@map");
    light.run(nothing());
  });
});

describe("an exporter that never answers: who is ended leaves nothing", () => {
  function silent(importer: NonNullable<RigOptions["importer"]>["importer"]) {
    const r = rig("linux-7.3", { importer: importer ? { importer } : {} });
    const mapDmaBuf = function* (): Op<never> {
      yield* until("never", () => false);
      throw new TypeError("it went on");
    };
    const ops = { mapDmaBuf, unmapDmaBuf() {}, release() {} };
    return { r, buf: r.fw.export({ exporterName: "silent", ops, priv: {}, sizeBytes: PAGE }) };
  }

  it("in an import", () => {
    const { r, buf } = silent("static");
    const before = r.counts();
    r.scheduler.spawn("user", r.gpu.import(buf));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([r.counts(), buf.refs, buf.resv.locked]).toEqual([before, 1, false]);
  });

  it("in a submission, where what was mapped before it is given back", () => {
    const { r, buf } = silent("dynamic");
    const seat = r.run(seated(r.gpu, r.bar(1)));
    const bo = r.run(r.gpu.import(buf));
    const before = r.counts();
    r.scheduler.spawn("user", r.gpu.submit({ vm: seat.vm, buffers: [{ bo: seat.bo }, { bo }], commands: [] }));
    expect(r.scheduler.run().kind).toBe("deadlock");
    expect([r.counts(), seat.bo.runs, buf.resv.locked]).toEqual([before, [], false]);
    r.run(does(r.gpu, seat, write(1)));
  });
});

describe("borrow", () => {
  const told: Run = { kind: "dma", offset: 0, sizeBytes: PAGE, address: addr(0x40_0000_0000) };

  it("reaches it where the number means the same, is a finding, and unmap gives it back", () => {
    const { r, vm } = open();
    r.gpu.borrow(vm, 0, [told]);
    expect(vm.reaches(0)).toBe(told.address);
    expect(r.fw.findings.map((f) => f.level)).toEqual(["violation"]);
    r.run(vm.unmap(0));
    expect([vm.reaches(0), r.gpu.ledger.runs]).toEqual([null, 0]);
  });

  it("EOPNOTSUPP: another device's domain; EINVAL: taken", () => {
    const r = rig("annotated-address");
    const vm = r.gpu.createVm();
    const attributes = { cache: "uc", snoop: false } as const;
    const foreign: Run = { kind: "iova", offset: 0, sizeBytes: PAGE, address: addr(0x1000), domain: {}, attributes };
    expect(r.answer(() => r.gpu.borrow(vm, 0, [foreign]))).toBe("EOPNOTSUPP@map");
    const { r: of, vm: full } = open();
    expect(of.answer(() => of.gpu.borrow(full, VA, [told]))).toBe("EINVAL@map");
  });

  it("pfn: a frame is mapped for this device, and that is given back where the range is taken", () => {
    const r = rig("pfn", { base: "T2", machine: { iommu: "translated" } });
    const vm = r.gpu.createVm();
    const frame: Run = {
      kind: "cpu-physical",
      offset: 0,
      sizeBytes: PAGE,
      address: addr(0x40_0000_0000),
      attributes: null,
    };
    r.gpu.borrow(vm, 0, [frame]);
    expect(r.machine.ledger.dmaMappings).toBe(1);
    expect(r.answer(() => r.gpu.borrow(vm, 0, [frame]))).toBe("EINVAL@map");
    r.run(vm.unmap(0));
    expect(r.machine.ledger.dmaMappings).toBe(0);
  });
});

it.each(SERVING)("%s: a device whose DMA API refuses leaves nothing", (id) => {
  const r = rig(id, { base: "T2", machine: { iommu: "translated" } });
  const buf = r.bar(1);
  const { device } = r.host;
  const dma = { maskBits: 64, mapPhys: none, unmapPhys() {}, tryAllocIova: none };
  const narrow = {
    name: device.name,
    spaces: device.spaces,
    fn: (device as never as { fn: unknown }).fn,
    read: none,
    write: none,
    dma,
  };
  const before = r.counts();
  const gpu = r.importerFor({ ...r.host, device: narrow });
  const vm = gpu.createVm();
  const answer = refusal(() => {
    const bo = r.run(gpu.import(buf));
    vm.map(bo, { va: 0 });
    r.run(gpu.validate(vm, [{ bo }]));
  });
  expect(answer).toBe("ENOMEM@map");
  expect(r.fw.ledger.mappings).toBe(0);
  expect(r.counts()).toMatchObject({ dmaMappings: (before as { dmaMappings: number }).dmaMappings });
});

function none(): never {
  throw new DmaBufError("ENOMEM", { op: "dma_map_phys", stage: "map", message: "told to fail" });
}

function* ended(op: Op<unknown>, then: () => void): Op<void> {
  try {
    yield* op;
  } finally {
    then();
  }
}

function* holds(resv: ReturnType<Rig["bar"]>["resv"], over: () => boolean): Op<void> {
  using _held = yield* resv.lock();
  yield* until("held", over);
}
