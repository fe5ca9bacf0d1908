// What the contract's machinery costs: the scheduler, the reservation, fences, the search for orders.
import { EventEmitter } from "node:events";
import { addr, dmaAddress, DmaFence, DmaResv, Env, explore, Framework, Scheduler } from "@dma-buf/core";
import fc from "fast-check";

const PAGE = 4096;

function* cycle(framework, buf, n) {
  const importer = { name: "imp", ops: { allowPeer2peer: true, invalidateMappings() {} } };
  const device = { name: "nic", spaces: [] };
  for (let i = 0; i < n; i++) {
    const attachment = yield* framework.dynamicAttach(buf, device, importer);
    const table = yield* framework.mapAttachmentUnlocked(attachment, "to-device");
    yield* framework.unmapAttachmentUnlocked(attachment, table, "to-device");
    yield* framework.detachAttachment(buf, attachment);
  }
  return n;
}

function world() {
  const scheduler = new Scheduler(undefined, Infinity);
  const framework = new Framework({ contract: dmaAddress, scheduler, trace: false });
  const run = { kind: "dma", offset: 0, sizeBytes: PAGE, address: addr(PAGE) };
  const ops = { mapDmaBuf: () => ({ runs: [run] }), unmapDmaBuf() {}, pin() {}, unpin() {}, release() {} };
  const buf = framework.export({ exporterName: "x", ops, sizeBytes: PAGE, priv: {} });
  return { scheduler, framework, buf };
}

/** Runs an operation without a scheduler: nobody else can run, and nobody is asked who may. */
function drain(op) {
  let step = op.next();
  while (!step.done) step = op.next();
  return step.value;
}

function cycles() {
  const [alone, scheduled] = [world(), world()];
  return {
    name: "attach, map, unmap, detach",
    unit: "cycle",
    baselineName: "the same calls without scheduler",
    goal: 3,
    baseline: (n) => drain(cycle(alone.framework, alone.buf, n)),
    candidate: (n) => scheduled.scheduler.complete("importer", cycle(scheduled.framework, scheduled.buf, n)),
  };
}

function locks() {
  const scheduler = new Scheduler(undefined, Infinity);
  const resv = new DmaResv("R", new Env(scheduler, { trace: false }));
  function* lock(n) {
    for (let i = 0; i < n; i++) (yield* resv.lock())[Symbol.dispose]();
    return n;
  }
  return {
    name: "reservation: uncontended lock and unlock, with its schedule point",
    unit: "lock",
    baselineName: "trylock, which has none",
    baseline(n) {
      for (let i = 0; i < n; i++) resv.tryLock()[Symbol.dispose]();
      return n;
    },
    candidate: (n) => scheduler.complete("locker", lock(n)),
  };
}

function fences() {
  const env = new Env(new Scheduler(), { trace: false });
  const names = { driverName: () => "gpu", timelineName: () => "ring" };
  let called = 0;
  const callback = { run: () => void called++ };
  return {
    name: "fence: make, add a callback, signal",
    unit: "fence",
    baselineName: "EventEmitter: make, once, emit",
    baseline(n) {
      for (let i = 0; i < n; i++) {
        const emitter = new EventEmitter();
        emitter.once("signal", callback.run);
        emitter.emit("signal");
      }
      return called;
    },
    candidate(n) {
      for (let i = 0; i < n; i++) {
        const fence = new DmaFence(env, names, 1, i);
        fence.addCallback(callback);
        fence.signal();
      }
      return called;
    },
  };
}

const TASKS = [0, 1, 2];
const STEPS = 5;
const STEP = { site: "step", ready: null };

async function asyncTask(s, box) {
  for (let i = 0; i < STEPS; i++) {
    const seen = box.value;
    await s.schedule(Promise.resolve());
    box.value = seen + 1;
  }
}

// Not inside the world: a generator function that is made anew each time is ten times as slow as the search.
function* task(box) {
  for (let i = 0; i < STEPS; i++) {
    const seen = box.value;
    yield STEP;
    box.value = seen + 1;
  }
}

function orders() {
  return {
    name: "orders of 3 tasks with 5 steps each, explored",
    unit: "order",
    baselineName: "fast-check's scheduler",
    n: 50_000,
    baselinePart: 0.04,
    async baseline(n) {
      let sum = 0;
      const property = fc.asyncProperty(fc.scheduler(), async (s) => {
        const box = { value: 0 };
        await s.waitFor(Promise.all(TASKS.map(() => asyncTask(s, box))));
        sum += box.value;
      });
      await fc.assert(property, { numRuns: n });
      return sum;
    },
    candidate(n) {
      const race = (scheduler) => {
        const box = { value: 0 };
        for (const id of TASKS) scheduler.spawn(id === 0 ? "first" : "other", task(box));
        scheduler.run();
        return box.value;
      };
      const found = explore(race, { badness: (value) => -value, ordersMax: n });
      if (found.explored !== n) throw new Error(`explored ${found.explored} orders, not ${n}`);
      return found.worst.result;
    },
  };
}

export const core = () => ({ rows: [cycles(), locks(), fences(), orders()], counted: [] });
