/** Every order of what takes memory away or moves it, against an importer of each class, the CPU, and the end. */
import { type ClassImporter, classImporter, classesOf, type ImporterClass, RecordingHost } from "@dma-buf/conformance";
import { type DmaBuf, explore, Framework, type Op, PAGE_SIZE, point, type Run, type Scheduler } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { tried } from "./testing/actors.js";
import { gpuOf } from "./testing/kit.js";
import { ALL, contractOf, type VariantId, VARIANTS } from "./testing/rig.js";
import type { BufferObject, GpuExporter } from "./index.js";

/** Beyond, a search is given up: the rest of the time goes to the others. */
const ORDERS_MAX = 800;
const ACTS = ["lose", "remove", "move"] as const;
type Act = (typeof ACTS)[number];

/** How many orders each search tried: all there are, or, with a `/`, the first of them. */
const ORDERS: Record<VariantId, Record<Act, string>> = {
  "dma-address": {
    lose: "zap 628, fenced 614, faulting 719, pinned-revocable 800/, static 800/, put 20, close 20, vmap 300",
    remove: "zap 316, fenced 314, faulting 329, pinned-revocable 473, static 800/, put 20, close 20, vmap 138",
    move: "put 83, close 83, vmap 800/",
  },
  "linux-7.3": {
    lose: "zap 628, fenced 719, faulting 719, pinned 800/, pinned-revocable 800/, static 800/, put 20, close 20, vmap 300",
    remove:
      "zap 316, fenced 329, faulting 329, pinned 322, pinned-revocable 473, static 800/, put 20, close 20, vmap 138",
    move: "put 83, close 83, vmap 800/",
  },
  "annotated-address": {
    lose: "zap 628, fenced 719, faulting 719, pinned 800/, pinned-revocable 800/, static 800/, put 20, close 20, vmap 300",
    remove:
      "zap 316, fenced 329, faulting 329, pinned 322, pinned-revocable 473, static 800/, put 20, close 20, vmap 138",
    move: "put 83, close 83, vmap 800/",
  },
  vma: {
    lose: "zap 264, faulting 250, put 20, close 20, vmap 300",
    remove: "zap 188, faulting 182, put 20, close 20, vmap 138",
    move: "put 83, close 83, vmap 800/",
  },
  pfn: {
    lose: "zap 510, fenced 737, faulting 540, pinned-revocable 800/, static 672, put 20, close 20, vmap 300",
    remove: "zap 258, fenced 335, faulting 264, pinned-revocable 613, static 498, put 20, close 20, vmap 138",
    move: "put 85, close 85, vmap 455",
  },
  "pfn-locked": {
    lose: "zap 298, fenced 305, faulting 312, pinned-revocable 800/, static 441, put 20, close 20, vmap 300",
    remove: "zap 202, fenced 203, faulting 204, pinned-revocable 383, static 194, put 20, close 20, vmap 138",
    move: "put 85, close 85, vmap 455",
  },
};

interface Stage {
  readonly fw: Framework;
  readonly host: RecordingHost;
  readonly exporter: GpuExporter;
  readonly bo: BufferObject;
  readonly buf: DmaBuf;
  /** Pages that the kernel has mapped. */
  readonly vmapped: number[];
  readonly wrong: string[];
}

type Other = (stage: Stage) => Op<void>;

/** The CPU, the last reference and the handle: each is over when the handle is closed and the reference is put. */
const OTHERS: Readonly<Record<string, Other>> = {
  *put(stage) {
    stage.exporter.close(stage.bo);
    yield* point("put");
    yield* stage.fw.put(stage.buf);
  },
  *close(stage) {
    yield* stage.fw.put(stage.buf);
    yield* point("close");
    stage.exporter.close(stage.bo);
  },
  *vmap(stage) {
    yield* tried(vmap(stage));
    yield* OTHERS["put"]?.(stage) as Op<void>;
  },
};

describe.each(ALL)("%s", (id) => {
  it.each(ACTS)(
    "%s: whoever is at it reaches nothing that was given up, and all is back",
    (act) => {
      const opponents: Record<string, Other> = { ...(act === "move" ? {} : importersOf(id)), ...OTHERS };
      const searched = Object.entries(opponents).map(([name, other]) => `${name} ${ordersOf(id, act, other)}`);
      expect(searched.join(", ")).toBe(ORDERS[id][act]);
    },
    60_000,
  );
});

/** Moves against importers are the kit's. */
function importersOf(id: VariantId): Record<string, Other> {
  const classes = classesOf(contractOf(id));
  return Object.fromEntries(classes.map((name) => [name, (stage: Stage) => imports(stage, id, name)]));
}

/** How many orders were tried; `/`: of more. In none of them is anything wrong. */
function ordersOf(id: VariantId, act: Act, other: Other): string {
  const world = (scheduler: Scheduler): readonly string[] => lived(scheduler, id, act, other);
  const found = explore(world, { ordersMax: ORDERS_MAX, badness: (wrong) => wrong.length });
  expect(found.worst.result, `${act}, order ${found.worst.token}`).toEqual([]);
  return `${found.explored}${found.kind === "bounded" ? "/" : ""}`;
}

/** What is wrong when all is over. */
function lived(scheduler: Scheduler, id: VariantId, act: Act, other: Other): readonly string[] {
  const fw = new Framework({ contract: contractOf(id), scheduler });
  const host = new RecordingHost();
  const vmapped: number[] = [];
  const gpu = {
    ...gpuOf(host),
    vmap: (blocks: readonly { start: number }[]) => vmapped.push(...blocks.map((b) => b.start)),
  };
  const exporter = VARIANTS[id].gpuExporter()(fw, gpu);
  const bo = exporter.create({ sizeBytes: PAGE_SIZE });
  const stage: Stage = { fw, host, exporter, bo, buf: exporter.export(bo), vmapped, wrong: [] };
  const acts = { lose: () => exporter.lose(bo), remove: () => exporter.remove(), move: () => exporter.evict(bo) };
  // Importers attach before the race.
  const against = other(stage);
  const tasks = [scheduler.spawn(act, tried(acts[act]())), scheduler.spawn("other", against)];
  const end = scheduler.run();
  if (end.kind !== "done") stage.wrong.push(end.kind);
  for (const { state, name, error } of tasks) if (state !== "done") stage.wrong.push(`${name}: ${String(error)}`);
  const left = { ...fw.ledger, ...exporter.ledger, mappings: host.liveMappings };
  for (const [what, n] of Object.entries(left)) if (n !== 0) stage.wrong.push(`${n} ${what} left`);
  const findings = fw.findings.filter((f) => f.level !== "warn");
  return [...stage.wrong, ...findings.map((f) => f.message)];
}

/** Attached already: what comes between the look, the access and the end is what matters. */
function imports(stage: Stage, id: VariantId, name: ImporterClass): Op<void> {
  const { fw, host, buf, wrong } = stage;
  // Who cannot be told goes on with what was taken away: that is the contract's, not the exporter's.
  const isTold = name !== "pinned" && name !== "static";
  const arrived = ({ run }: { run: Run }): void => {
    const at = run.kind === "dma" || run.kind === "iova" ? host.place(run.address) : run.address;
    if (isTold && (at === null || host.isFreed(at))) wrong.push(`${name} reaches ${at}`);
  };
  const importer = classImporter(name, { framework: fw, arrived });
  const device = id === "vma" ? null : host.device;
  fw.scheduler.complete("attach", importer.attach(buf, device));
  return uses(stage, importer);
}

function* uses({ fw, exporter, bo, buf }: Stage, importer: ClassImporter): Op<void> {
  yield* tried(importer.use());
  yield* importer.close();
  yield* fw.put(buf);
  exporter.close(bo);
}

function* vmap({ fw, host, buf, vmapped, wrong }: Stage): Op<void> {
  const map = yield* fw.vmapBufferUnlocked(buf);
  yield* point("cpu");
  if (vmapped.some((page) => host.isFreed(page))) wrong.push("the CPU reaches what was given up");
  yield* fw.vunmapBufferUnlocked(buf, map);
}
