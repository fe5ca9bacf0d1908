/** How a dma-buf comes into the driver, and how it leaves: attached, pinned or mapped at once as the driver has it. */
import {
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type Held,
  type Op,
  until,
  Usage,
  type Window,
  withRuns,
} from "@dma-buf/core";
import { checkedWindow, clipped, joined } from "@dma-buf/scatterlist";
import { ImportedBo } from "./buffer-object.js";
import type { Gpu } from "./gpu.js";
import { over } from "./take-down.js";
import { clearAll } from "./vm.js";

/** Attaches, with a reference of its own. @throws DmaBufError what the framework or the exporter refuses with; nothing is left */
export function* attach(gpu: Gpu, buf: DmaBuf): Op<ImportedBo> {
  const { fw } = gpu;
  const undo: (() => Op<void>)[] = [];
  let isThere = false;
  try {
    fw.get(buf);
    undo.push(() => fw.put(buf));
    let bo: ImportedBo | null = null;
    const at = yield* attachment(gpu, buf, (held) => (bo ? invalidate(gpu, bo, held) : none()));
    undo.push(() => fw.detachAttachment(buf, at));
    const window: Window = yield* checkedWindow(fw, at, "bidirectional");
    undo.push(() => window.close());
    bo = new ImportedBo(at, window);
    if (gpu.options.importer === "pinned") yield* pin(gpu, at);
    if (gpu.options.importer === "static") yield* mapForGood(gpu, bo);
    isThere = true;
    return bo;
  } finally {
    // Refused, or ended while the exporter never answers.
    if (!isThere) for (const back of undo.toReversed()) yield* back();
  }
}

function attachment(gpu: Gpu, buf: DmaBuf, told: (held: Held) => Op<void>): Op<DmaBufAttachment> {
  const { fw, name, host, options, isDeaf } = gpu;
  if (options.importer === "static") return fw.staticAttach(buf, host.device, name);
  const invalidateMappings = (_at: DmaBufAttachment, held: Held): Op<void> => told(held);
  const ops: DmaBufAttachOps = { allowPeer2peer: true, ...(isDeaf ? {} : { invalidateMappings }) };
  return fw.dynamicAttach(buf, host.device, { name, ops });
}

function* none(): Op<void> {}

/** The exporter says that what it told is true no more. Cannot refuse. */
function* invalidate(gpu: Gpu, bo: ImportedBo, held: Held): Op<void> {
  bo.sequence++;
  for (const mapping of bo.mappings) mapping.vm.needsUpdate.add(mapping);
  // What was told without the lock is forgotten at once: the next question may come before the old entries are gone.
  if (bo.window.resv === "free") yield* bo.window.drop(held);
  const { content } = bo;
  bo.content = null;
  gpu.fw.trace.emit("callback", () => `${gpu.name}: invalidate finds ${content?.pieces.length ?? 0} run(s)`);
  if (content) yield* gpu.takeDown(gpu, bo, content, held);
}

function* pin({ fw }: Gpu, at: DmaBufAttachment): Op<void> {
  using held = yield* at.buf.resv.lock();
  yield* fw.pinAttachment(at, held);
}

/** As static drivers do: for both directions, at import, until the close. */
function* mapForGood(gpu: Gpu, bo: ImportedBo): Op<void> {
  const { attachment: at, window, sizeBytes } = bo;
  yield* withRuns(at, window, 0, sizeBytes, function* (runs) {
    bo.content = gpu.reachAll(joined(clipped(runs, 0, sizeBytes)));
  });
  // The core waits where it maps; where frames are told, nobody does.
  yield* at.buf.resv.waitTimeout(Usage.KERNEL);
}

/** Undoes {@link attach}, once no job and nobody who submits uses it. */
export function* detach(gpu: Gpu, bo: ImportedBo): Op<void> {
  const { buf, attachment: at, window } = bo;
  yield* idle(gpu, bo);
  {
    using held = yield* buf.resv.lock();
    yield* bo.settle(held);
    const ranges = [...bo.mappings];
    yield* clearAll(ranges);
    for (const range of ranges) yield* range.vm.remove([range]);
    const { content } = bo;
    bo.content = null;
    if (content) yield* bo.giveBack(content, held);
    if (at.pins > 0) yield* gpu.fw.unpinAttachment(at, held);
  }
  yield* window.close();
  yield* gpu.fw.detachAttachment(buf, at);
  yield* gpu.fw.put(buf);
}

/** Waits for submissions that look at it, jobs that list it, and work that gives back what it had. */
function* idle(gpu: Gpu, bo: ImportedBo): Op<void> {
  const users = (): string => `${bo.users} submission(s) that list it`;
  yield* until("gpu.close", () => bo.users === 0, users);
  yield* over(yield* jobsOf(gpu, bo));
  const work = (): boolean => bo.teardown?.isOver() ?? true;
  yield* until("gpu.close", work, () => "what it had before to be given back");
}

function* jobsOf(gpu: Gpu, bo: ImportedBo): Op<ReturnType<Gpu["jobsOn"]>> {
  using held = yield* bo.buf.resv.lock();
  return gpu.jobsOn(held);
}
