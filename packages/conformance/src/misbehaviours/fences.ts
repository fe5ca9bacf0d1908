/** Importers whose fences take their time. */
import { DmaFence, type Held, type Op, Usage } from "@dma-buf/core";
import { deviceOf, type ExporterWorld, importerFor, type Way } from "../world.js";
import { LIAR, liar, type Misbehaviour, waits } from "./misbehaviour.js";

export const fenceOf = (way: Way): Misbehaviour => ({
  name: `${way}-fence`,
  title: `a fence does not signal, and ${way} waits for it, by name`,
  *misbehave(w, buf) {
    const importer = importerFor(w);
    yield* importer.attach(buf, deviceOf(w));
    yield* importer.use();
    let fence: DmaFence;
    {
      using held = yield* buf.resv.lock();
      fence = addFence(w, held);
    }
    yield* waits(w, way, "a fence in the reservation has not signalled", signal([fence]));
    yield* importer.detach();
  },
});

/** A GPU's callback hands its page-table update to the ring: the fence is not there before the callback. */
export const callbackFenceOf = (way: Way): Misbehaviour => ({
  name: `${way}-callback-fence`,
  title: `a callback adds a fence, and ${way} waits for it, by name`,
  *misbehave(w, buf) {
    const fences: DmaFence[] = [];
    const at = yield* liar(w, buf, (_at, held) => {
      if (fences.length === 0) fences.push(addFence(w, held));
    });
    yield* waits(w, way, "the fence that a callback added has not signalled", signal(fences));
    yield* w.fw.detachAttachment(buf, at);
  },
});

/** The weakest usage: whoever waits for less does not see it. */
function addFence({ fw }: ExporterWorld, held: Held): DmaFence {
  held.resv.reserveFences(held, 1);
  const names = { driverName: () => LIAR, timelineName: () => "jobs" };
  const fence = new DmaFence(fw.env, names, fw.env.allocContexts(1), 1);
  held.resv.addFence(held, fence, Usage.BOOKKEEP);
  return fence;
}

function* signal(fences: readonly DmaFence[]): Op<void> {
  for (const fence of fences) {
    fence.signal();
    fence.put();
  }
}
