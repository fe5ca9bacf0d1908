/**
 * What the kernel warns about, oopses on or does not see: each is a finding under the row that lists it, and the model
 * is as usable afterwards as before. A finding that a row lists and no case here reaches fails.
 */
import { describe, expect, it } from "vitest";
import { type CallName, rowsOf } from "./contract.js";
import { contracts } from "./contracts/all.js";
import { type SyncCall, syncRows } from "./contracts/sync.js";
import type { DmaBuf, DmaBufAttachment } from "./dma-buf.js";
import { Env } from "./env.js";
import { DmaBufError } from "./error.js";
import { DmaFence } from "./fence.js";
import { BugSignal } from "./finding.js";
import { type Op, point } from "./op.js";
import { DmaResv, type Held, type ResvGuard } from "./resv.js";
import { Scheduler, StuckError } from "./scheduler.js";
import { asks, device, importer, type Kit, kit, maps, mock, moves, refuse, table } from "./testing.js";
import { Usage } from "./usage.js";
import { AcquireTicket } from "./ww-mutex.js";

const vmaps = { vmap: () => ({ address: 4096, isIomem: false }), vunmap() {} };
const everything = { ...maps, ...asks, ...vmaps, mmap() {} };
const nothing = null as never;

/** A proof of a lock that was given back. */
function stale(k: Kit, buf: DmaBuf): Held {
  const held = k.hold(buf.resv);
  held[Symbol.dispose]();
  return held;
}

/** Calls `act` in a task that holds the reservation: what takes it again waits for itself. */
function whileHeld(k: Kit, buf: DmaBuf, act: () => Op<unknown>): void {
  k.complete(
    (function* (): Op<void> {
      using _held = yield* buf.resv.lock();
      yield* act();
    })(),
  );
}

function attached(k: Kit, ops: object = {}): DmaBufAttachment {
  return k.attach(k.exported({ ...everything, pin() {}, unpin() {}, ...ops }));
}

function withHeld(k: Kit, at: DmaBufAttachment, act: (held: Held) => Op<unknown>): void {
  using held = k.hold(at.buf.resv);
  k.complete(act(held));
}

type Case = (k: Kit) => unknown;
const HELD = "the reservation is held, and the call takes it";
const OUTSIDE = "the reservation is held: it must not be";
const NOT_HELD = "the reservation is not held";

const cases: Partial<Record<CallName, Readonly<Record<string, Case>>>> = {
  pin: {
    "EBUSY for a static importer"(k) {
      const at = k.attach(k.exported({ ...moves, pin: refuse("EBUSY") }), device, null);
      k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
    },
  },
  mapDmaBuf: {
    "no table": (k) => k.complete(k.fw.mapAttachmentUnlocked(attached(k, { mapDmaBuf: () => undefined }), "to-device")),
    "a table that is out already"(k) {
      const one = table();
      const at = attached(k, { mapDmaBuf: () => one });
      for (const _ of [1, 2]) k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
    },
    "a run that does not say its space"(k) {
      const at = attached(k);
      const window = k.complete(k.fw.open(at, "to-device"));
      withHeld(k, at, (held) => window.runs(0, 4096, held));
    },
  },
  vmap: {
    "any error": (k) => k.complete(k.fw.vmapBufferUnlocked(k.exported({ ...everything, vmap: refuse("ENOMEM") }))),
  },
  export: {
    "operations or priv missing, or a callback without its pair": (k) => k.exported({ release() {}, pin() {} }),
    [OUTSIDE](k) {
      const { resv } = k.exported(everything);
      using _held = k.hold(resv);
      k.exported(everything, { resv });
    },
  },
  put: {
    "no buffer": (k) => k.complete(k.fw.put(nothing)),
    "attachments left": (k) => k.complete(k.fw.put(attached(k).buf)),
    [OUTSIDE](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.put(buf));
    },
    "kernel mappings left"(k) {
      const buf = k.exported(everything);
      k.complete(k.fw.vmapBufferUnlocked(buf));
      k.complete(k.fw.put(buf));
    },
  },
  staticAttach: {
    "no buffer, or no device where one is needed": (k) => k.complete(k.fw.staticAttach(nothing, null, "imp")),
  },
  dynamicAttach: {
    "no buffer": (k) => k.complete(k.fw.dynamicAttach(nothing, device, { name: "imp", ops: importer })),
    "no buffer, or no device where one is needed": (k) => k.attach(k.exported(everything), null),
    "no buffer, or dynamic without invalidate_mappings": (k) =>
      k.complete(k.fw.dynamicAttach(k.exported(everything), null, { name: "imp", ops: { allowPeer2peer: true } })),
    "no buffer, no device, or dynamic without move_notify": (k) =>
      k.complete(k.fw.dynamicAttach(k.exported(everything), device, { name: "imp", ops: { allowPeer2peer: true } })),
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.dynamicAttach(buf, device, { name: "imp", ops: importer }));
    },
  },
  detachAttachment: {
    "not attached here": (k) => k.complete(k.fw.detachAttachment(k.exported(everything), attached(k))),
    "still mapped"(k) {
      const at = attached(k);
      k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
      k.complete(k.fw.detachAttachment(at.buf, at));
    },
    "still pinned"(k) {
      const at = attached(k);
      withHeld(k, at, (held) => k.fw.pinAttachment(at, held));
      k.complete(k.fw.detachAttachment(at.buf, at));
    },
    [HELD](k) {
      const at = attached(k);
      whileHeld(k, at.buf, () => k.fw.detachAttachment(at.buf, at));
    },
  },
  pinAttachment: {
    "no attachment, or a detached one: an oops"(k) {
      const at = attached(k);
      k.complete(k.fw.detachAttachment(at.buf, at));
      withHeld(k, at, (held) => k.fw.pinAttachment(at, held));
    },
    "a static importer"(k) {
      const at = k.attach(k.exported(everything), device, null);
      withHeld(k, at, (held) => k.fw.pinAttachment(at, held));
    },
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.pinAttachment(at, stale(k, at.buf)));
    },
  },
  unpinAttachment: {
    "no attachment, or a detached one: an oops"(k) {
      const at = attached(k);
      k.complete(k.fw.detachAttachment(at.buf, at));
      withHeld(k, at, (held) => k.fw.unpinAttachment(at, held));
    },
    "a static importer"(k) {
      const at = k.attach(k.exported(everything), device, null);
      withHeld(k, at, (held) => k.fw.unpinAttachment(at, held));
    },
    "not pinned"(k) {
      const at = attached(k);
      withHeld(k, at, (held) => k.fw.unpinAttachment(at, held));
    },
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.unpinAttachment(at, stale(k, at.buf)));
    },
  },
  mapAttachment: {
    "not attached": (k) => k.complete(k.fw.mapAttachment(nothing, "to-device", nothing)),
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.mapAttachment(at, "to-device", stale(k, at.buf)));
    },
  },
  unmapAttachment: {
    "not mapped"(k) {
      const at = attached(k);
      withHeld(k, at, (held) => k.fw.unmapAttachment(at, table(), "to-device", held));
    },
    "another direction than the map's"(k) {
      const at = attached(k);
      const sgt = k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
      withHeld(k, at, (held) => k.fw.unmapAttachment(at, sgt, "from-device", held));
    },
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.unmapAttachment(at, table(), "to-device", stale(k, at.buf)));
    },
  },
  mapAttachmentUnlocked: {
    "not attached": (k) => k.complete(k.fw.mapAttachmentUnlocked(nothing, "to-device")),
    [HELD](k) {
      const at = attached(k);
      whileHeld(k, at.buf, () => k.fw.mapAttachmentUnlocked(at, "to-device"));
    },
  },
  unmapAttachmentUnlocked: {
    "not mapped": (k) => k.complete(k.fw.unmapAttachmentUnlocked(nothing, table(), "to-device")),
    [HELD](k) {
      const at = attached(k);
      whileHeld(k, at.buf, () => k.fw.unmapAttachmentUnlocked(at, table(), "to-device"));
    },
  },
  getPfnAttachment: {
    "the exporter has no get_pfn"(k) {
      const at = attached(k, { getPfn: undefined });
      withHeld(k, at, (held) => k.fw.getPfnAttachment(at, 0, held));
    },
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.getPfnAttachment(at, 0, stale(k, at.buf)));
    },
  },
  getPfnUnlocked: {
    "the exporter has no get_pfn": (k) => k.complete(k.fw.getPfnUnlocked(attached(k, { getPfn: undefined }), 0)),
    "the reservation is held: it waits for itself"(k) {
      const at = attached(k);
      whileHeld(k, at.buf, () => k.fw.getPfnUnlocked(at, 0));
    },
  },
  invalidate: {
    [NOT_HELD](k) {
      const at = attached(k);
      k.complete(k.fw.invalidate(at.buf, stale(k, at.buf)));
    },
  },
  beginAccess: {
    "no buffer": (k) => k.complete(k.fw.beginAccess(nothing, "to-device")),
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.beginAccess(buf, "to-device"));
    },
  },
  endAccess: {
    "no buffer: an oops": (k) => k.complete(k.fw.endAccess(nothing, "to-device")),
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.endAccess(buf, "to-device"));
    },
  },
  nextBuffer: {
    [OUTSIDE](k) {
      const buf = k.exported(everything);
      k.fw.get(buf);
      whileHeld(k, buf, () => k.fw.nextBuffer(buf));
    },
  },
  mmapBuffer: {
    "no buffer or VMA": (k) => k.complete(k.fw.mmapBuffer(k.exported(everything), nothing, 0)),
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.mmapBuffer(buf, { pgoff: 0, pages: 1, buf: null, fault: null }, 0));
    },
  },
  mmapFile: {
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.mmapFile(buf, { pgoff: 0, pages: 1, buf: null, fault: null }));
    },
  },
  vmapBuffer: {
    "no buffer": (k) => k.complete(k.fw.vmapBuffer(nothing, nothing)),
    [NOT_HELD](k) {
      const buf = k.exported(everything);
      k.complete(k.fw.vmapBuffer(buf, stale(k, buf)));
    },
  },
  vunmapBuffer: {
    "not mapped, or another mapping: BUG": (k) =>
      k.complete(k.fw.vunmapBufferUnlocked(k.exported(everything), { address: 1, isIomem: false })),
    [NOT_HELD](k) {
      const buf = k.exported(everything);
      const map = k.complete(k.fw.vmapBufferUnlocked(buf));
      k.complete(k.fw.vunmapBuffer(buf, map, stale(k, buf)));
    },
  },
  vmapBufferUnlocked: {
    "no buffer": (k) => k.complete(k.fw.vmapBufferUnlocked(nothing)),
    [HELD](k) {
      const buf = k.exported(everything);
      whileHeld(k, buf, () => k.fw.vmapBufferUnlocked(buf));
    },
  },
  vunmapBufferUnlocked: {
    "no buffer": (k) => k.complete(k.fw.vunmapBufferUnlocked(nothing, { address: 1, isIomem: false })),
    [HELD](k) {
      const buf = k.exported(everything);
      const map = k.complete(k.fw.vmapBufferUnlocked(buf));
      whileHeld(k, buf, () => k.fw.vunmapBufferUnlocked(buf, map));
    },
  },
};

/** Refusals, the end of a task and a wait for itself are how the kernel answers here; anything else is a bug of ours. */
function tolerant(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof DmaBufError || error instanceof BugSignal || error instanceof StuckError)) throw error;
  }
}

/** Everything once, without a new finding. */
function cycle(k: Kit): void {
  const before = k.fw.findings.length;
  const { ledger } = k.fw;
  const buf = k.exported({ ...everything, ...moves });
  const at = k.attach(buf);
  if (k.fw.contract.rows.mapAttachment) {
    const sgt = k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
    k.complete(k.fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
  }
  k.complete(k.fw.detachAttachment(buf, at));
  k.complete(k.fw.put(buf));
  expect([k.fw.findings.slice(before), k.fw.ledger]).toEqual([[], ledger]);
}

describe.each(contracts)("$id", (contract) => {
  const wanted = rowsOf(contract).flatMap(([call, row]) =>
    row.party === "file" ? [] : row.findings.map((text) => [call, text, row.id] as const),
  );
  it.each(wanted)("%s: %s", (call, text, id) => {
    const act = cases[call]?.[text];
    if (!act) throw new Error(`no case reaches "${text}" of ${call}: add one`);
    const k = kit(contract);
    tolerant(() => act(k));
    // A static attachment is a dynamic one without operations: the finding is the latter's.
    const ids = call === "staticAttach" ? [contract.rows.dynamicAttach?.id] : [id];
    expect(k.fw.findings.map((f) => f.requirement)).toEqual(expect.arrayContaining([expect.toBeOneOf(ids)]));
    cycle(k);
  });
});

describe("reservation and fence", () => {
  const newFence = (env: Env, ops: object = {}) => new DmaFence(env, { ...mock, ...ops }, 1, 1);
  const withResv = (env: Env, act: (resv: DmaResv, held: ResvGuard) => unknown): void => {
    const resv = new DmaResv("R", env);
    using held = resv.tryLock() as ResvGuard;
    act(resv, held);
  };
  const without = (act: (resv: DmaResv, held: Held) => unknown) => (env: Env) =>
    withResv(env, (resv, held) => {
      held[Symbol.dispose]();
      act(resv, held);
    });
  const run = (env: Env, op: () => Op<unknown>) => env.scheduler.complete("test", op());
  const sync: Partial<Record<SyncCall, Readonly<Record<string, (env: Env) => unknown>>>> = {
    lock: {
      "the task holds the lock already, without a ticket: it waits for itself": (env) =>
        run(env, function* () {
          const resv = new DmaResv("R", env);
          using _held = yield* resv.lock();
          using _again = yield* resv.lock();
        }),
      "the ticket is done": (env) =>
        run(env, function* () {
          const ticket = new AcquireTicket(env);
          ticket.done = true;
          using _held = yield* new DmaResv("R", env).lock(ticket);
        }),
    },
    lockSlow: {
      "the ticket still holds locks: this may deadlock": (env) =>
        run(env, function* () {
          const ticket = new AcquireTicket(env);
          using _held = yield* new DmaResv("A", env).lock(ticket);
          using _other = yield* new DmaResv("B", env).lockSlow(ticket);
        }),
      "not the lock that answered EDEADLK": (env) =>
        run(env, function* () {
          const ticket = new AcquireTicket(env);
          ticket.contending = { name: "A" } as never;
          using _held = yield* new DmaResv("B", env).lockSlow(ticket);
        }),
    },
    ticket: {
      "it still holds locks": (env) =>
        run(env, function* () {
          const ticket = new AcquireTicket(env);
          using _held = yield* new DmaResv("R", env).lock(ticket);
          ticket.fini();
        }),
    },
    reserveFences: {
      "n is 0": (env) => withResv(env, (resv, held) => resv.reserveFences(held, 0)),
      "the lock is not held": without((resv, held) => resv.reserveFences(held, 1)),
    },
    addFence: {
      "nothing was reserved": (env) => withResv(env, (resv, held) => resv.addFence(held, newFence(env), Usage.READ)),
      "the fence is a container": (env) =>
        withResv(env, (resv, held) => {
          resv.reserveFences(held, 1);
          resv.addFence(held, newFence(env, { isContainer: true }), Usage.READ);
        }),
      "the lock is not held": without((resv, held) => {
        resv.reserveFences(held, 1);
        resv.addFence(held, newFence(resv.env), Usage.READ);
      }),
    },
    replaceFences: {
      "the lock is not held": without((resv, held) => resv.replaceFences(held, 1, newFence(resv.env), Usage.READ)),
    },
    forEach: { "the lock is not held": without((resv, held) => resv.forEach(held, Usage.READ)) },
    copyFences: { "the lock is not held": without((resv, held) => resv.copyFences(held, resv)) },
    fenceCallback: {
      "it sleeps"(env) {
        const fence = newFence(env);
        fence.addCallback({ run: () => point("sleep") });
        fence.signal();
      },
      "it takes the lock under which it is called"(env) {
        const fence = newFence(env);
        fence.addCallback({ run: (f) => f.signal() });
        fence.signal();
      },
    },
    addCallback: { "no function": (env) => newFence(env).addCallback(nothing) },
    setError: {
      "signalled already: stored all the same"(env) {
        const fence = newFence(env);
        fence.signal();
        fence.setError(-5);
        expect(fence.status).toBe(-5);
      },
      "not a negative errno: stored all the same"(env) {
        const fence = newFence(env);
        fence.setError(5);
        fence.signal();
        expect(fence.status).toBe(5);
      },
    },
    wait: { "negative timeout": (env) => run(env, () => newFence(env).wait({ timeoutTicks: -1 })) },
    isLater: {
      "the contexts differ": (env) => expect(newFence(env).isLater(new DmaFence(env, mock, 2, 1))).toBe(false),
    },
    release: {
      "not signalled, and somebody waits: signalled with EDEADLK"(env) {
        const awaited = newFence(env);
        const waiter = env.scheduler.spawn("waiter", awaited.wait());
        const dropper = env.scheduler.spawn(
          "dropper",
          (function* () {
            yield* point("later");
            yield* point("later still");
            awaited.put();
          })(),
        );
        env.scheduler.run();
        expect([waiter.state, dropper.state, awaited.status]).toEqual(["done", "done", -35]);
        const fence = newFence(env);
        fence.addCallback({ run() {} });
        fence.put();
        expect(fence.status).toBe(-35);
      },
      "put more often than got"(env) {
        const fence = newFence(env);
        fence.put();
        fence.put();
      },
    },
    contextAlloc: { "none was asked for": (env) => env.allocContexts(0) },
  };
  const wanted = Object.entries(syncRows).flatMap(([call, row]) =>
    row.findings.map((text) => [call as SyncCall, text, row.id] as const),
  );
  it.each(wanted)("%s: %s", (call, text, id) => {
    const act = sync[call]?.[text];
    if (!act) throw new Error(`no case reaches "${text}" of ${call}: add one`);
    const env = new Env(new Scheduler());
    tolerant(() => act(env));
    expect(env.findings.map((f) => f.requirement)).toContain(id);
  });
});
