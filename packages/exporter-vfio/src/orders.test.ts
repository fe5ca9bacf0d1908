/** Every order of what two tasks do to one device: nothing is left mapped, listed or locked, whoever was first. */
import {
  type DmaBuf,
  DmaBufError,
  explore,
  Framework,
  linux73,
  type Op,
  perform,
  type PfnAnswer,
  point,
  type Scheduler,
  type Vma,
} from "@dma-buf/core";
import { RecordingHost } from "@dma-buf/conformance";
import { expect, it } from "vitest";
import { hotReset } from "./hot-reset.js";
import { vfioExporter } from "./linux-7.3.js";
import { fakeHost, PAGE, TestImporter } from "./testing.js";

const WHOLE = { regionIndex: 0, ranges: [{ offset: 0, length: 2 * PAGE }] };

function world(scheduler: Scheduler) {
  const fw = new Framework({ contract: linux73, scheduler, trace: false });
  const host = fakeHost();
  const exporter = vfioExporter()(fw, host);
  const bufs: DmaBuf[] = [];
  const importer = new TestImporter(fw);
  const peer = new RecordingHost();
  const late: string[] = [];
  const mapAndUnmap = function* (buf: DmaBuf): Op<void> {
    const at = yield* importer.attach(buf, peer.device);
    try {
      yield* importer.map(at);
      if (!host.memoryEnabled) late.push("mapped, and the memory is off");
      yield* importer.unmap(at);
    } finally {
      yield* fw.detachAttachment(buf, at);
    }
  };
  const acts: Record<string, () => Op<unknown>> = {
    *export() {
      bufs.push(yield* exporter.export(WHOLE));
    },
    *use() {
      const buf = yield* exporter.export(WHOLE);
      try {
        yield* mapAndUnmap(buf);
      } finally {
        yield* fw.put(buf);
      }
    },
    put: () => fw.put(bufs.pop() as DmaBuf),
    off: () => exporter.setMemoryEnabled(false),
    *"off and on"() {
      yield* exporter.setMemoryEnabled(false);
      yield* exporter.setMemoryEnabled(true);
    },
    reset: () => exporter.reset(),
    FLR: () => exporter.functionLevelReset(),
    *"asleep and awake"() {
      yield* exporter.enterLowPower();
      yield* exporter.exitLowPower();
    },
    "hot reset": () => hotReset({ set: [exporter], isOwned: () => true, resetBus: () => point("bus reset") }),
    bind: () => exporter.binding.bind(exporter),
    *touch() {
      const area: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
      exporter.mmapRegion(0, area);
      yield* perform(area.fault?.(0) as Op<PfnAnswer>);
      if (!host.memoryEnabled || exporter.binding.data.isPrivate)
        late.push("a CPU got a page of memory that is not its own");
    },
    close: () => exporter.close(),
    unregister: () => exporter.unregister(),
  };
  return { fw, host, exporter, bufs, acts, peer, late };
}

/** What went wrong in this order, in words. */
function play(scheduler: Scheduler, names: readonly string[]): string[] {
  const w = world(scheduler);
  if (names.includes("put")) scheduler.complete("before", w.acts["export"]?.() as Op<unknown>);
  const tasks = names.map((name) => scheduler.spawn(name, w.acts[name]?.() as Op<unknown>));
  const end = scheduler.run();
  const wrong = [...w.late, ...w.fw.findings.map((f) => f.message)];
  if (end.kind !== "done") wrong.push(`ended in a ${end.kind}`);
  for (const { name, error } of tasks)
    if (error && !(error instanceof DmaBufError && /ENODEV|EBADF|EBUSY|EFAULT|EINVAL|EOPNOTSUPP/.test(error.code)))
      wrong.push(`${name}: ${(error as Error).message}`);
  if (names.includes("close")) {
    if (w.exporter.ledger.registrations > 0) wrong.push("a buffer keeps the closed device registered");
    scheduler.complete("restore", w.exporter.restore());
  }
  scheduler.complete("unbind", w.exporter.binding.unbind());
  for (const buf of w.bufs) {
    const attach = scheduler.spawn("after", new TestImporter(w.fw).attach(buf, w.peer.device));
    scheduler.run();
    const gone = !w.host.memoryEnabled || names.includes("close");
    if ((attach.state === "failed") !== gone) wrong.push(`attach afterwards: ${attach.state}`);
    if (attach.result) scheduler.complete("detach", w.fw.detachAttachment(buf, attach.result));
    scheduler.complete("put", w.fw.put(buf));
  }
  const left = { ...w.fw.ledger, ...w.exporter.ledger, dma: w.peer.liveMappings };
  if (Object.values(left).some((n) => n !== 0)) wrong.push(`left: ${JSON.stringify(left)}`);
  return wrong;
}

const PAIRS: readonly (readonly [string, string])[] = [
  ["export", "off"],
  ["export", "off and on"],
  ["export", "close"],
  ["export", "reset"],
  ["put", "off"],
  ["put", "reset"],
  ["put", "close"],
  ["use", "off"],
  ["use", "close"],
  ["use", "reset"],
  ["off", "close"],
  ["off and on", "reset"],
  ["use", "FLR"],
  ["use", "asleep and awake"],
  ["use", "hot reset"],
  ["use", "bind"],
  ["export", "bind"],
  ["export", "hot reset"],
  ["touch", "off"],
  ["touch", "bind"],
  ["touch", "close"],
  ["bind", "off"],
  ["bind", "close"],
  ["hot reset", "off"],
  ["hot reset", "close"],
  ["hot reset", "hot reset"],
  ["unregister", "close"],
];

for (const pair of PAIRS) {
  const search = { badness: (wrong: string[]) => wrong.length, ordersMax: 10_000 };
  const { kind, explored, worst } = explore((scheduler) => play(scheduler, pair), search);
  it(`${pair.join(" × ")}: ${explored} orders, ${kind}`, () => {
    expect([kind, worst.result]).toEqual(["exhausted", []]);
  });
}
