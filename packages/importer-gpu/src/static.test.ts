/** A static importer maps for good: not before the memory is the exporter's no more. */
import { addr, type DmaBufOps, DmaFence, type Op, PAGE_SIZE, type Pfn, type Run, until, Usage } from "@dma-buf/core";
import { expect, it } from "vitest";
import { BAR, bytes, finished, PAGE, read, rig, VA } from "./testing/rig.js";
import { SERVING } from "./testing/variants.js";

it.each(SERVING)("%s: a copy is under way when it imports: a job that lists nothing reads what was copied", (id) => {
  const r = rig(id, { importer: { importer: "static" } });
  const { env } = r.fw;
  const copied = new DmaFence(env, { driverName: () => "x", timelineName: () => "y" }, env.allocContexts(1), 1);
  const extent = { offset: 0, sizeBytes: PAGE, address: addr<never>(BAR) };
  const attributes = { cache: "uc", snoop: false } as const;
  const [bus] = r.host.device.spaces;
  const run = (id === "annotated-address" ? { ...extent, ...bus, attributes } : { kind: "dma", ...extent }) as Run;
  const ops: DmaBufOps = r.fw.contract.rows.getPfn
    ? { getPfn: () => ({ pfn: addr<Pfn>(BAR / PAGE_SIZE), maxOrder: 0 }), release() {} }
    : { mapDmaBuf: () => ({ runs: [run] }), unmapDmaBuf() {}, release() {} };
  const buf = r.fw.export({ exporterName: "copying", ops, sizeBytes: PAGE, priv: {} });
  const fill = function* (): Op<void> {
    using held = yield* buf.resv.lock();
    buf.resv.reserveFences(held, 1);
    buf.resv.addFence(held, copied, Usage.KERNEL);
  };
  const user = function* (): Op<unknown> {
    const vm = r.gpu.createVm();
    const bo = yield* r.gpu.import(buf);
    vm.map(bo, { va: VA });
    yield* r.gpu.validate(vm, [{ bo }]);
    const results = yield* finished(yield* r.gpu.submit({ vm, buffers: [], commands: [read()] }));
    yield* vm.destroy();
    yield* r.gpu.close(bo);
    return results;
  };
  const copy = function* (): Op<void> {
    // When nobody else can go on.
    const end = r.scheduler.now + 1;
    yield* until(
      "quiet",
      () => false,
      () => "time",
      end,
    );
    r.machine.memory.write(addr(BAR), bytes(7));
    copied.signal();
  };
  r.run(fill());
  const task = r.scheduler.spawn("user", user());
  r.scheduler.spawn("copy engine", copy());
  expect(r.scheduler.run().kind).toBe("done");
  expect(task.result).toEqual([{ kind: "done", bytes: bytes(7) }]);
});
