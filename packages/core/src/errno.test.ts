/** Every errno of the tables is reached by a case here; a row or an errno without one fails. */
import { errnoOf } from "@dma-buf/config/refusal";
import { describe, expect, it } from "vitest";
import { type CallName, type Contract, rowsOf } from "./contract.js";
import { contracts } from "./contracts/all.js";
import { type SyncCall, syncRows } from "./contracts/sync.js";
import type { DmaBufOps } from "./dma-buf.js";
import { Env } from "./env.js";
import type { ErrnoName } from "./contracts/errno.js";
import { type Op, until } from "./op.js";
import { DmaResv, type ResvGuard } from "./resv.js";
import { Scheduler } from "./scheduler.js";
import { asks, device, importer, type Kit, kit, maps, mock, moves, refuse } from "./testing.js";
import { Usage } from "./usage.js";
import { AcquireTicket } from "./ww-mutex.js";
import { DmaFence } from "./fence.js";

/** An exporter that every contract takes. */
const everything = { ...maps, ...asks, mmap() {}, vmap: () => ({ address: 4096, isIomem: false }), vunmap() {} };
/** One whose callback refuses; in the kernel the core passes that on. */
const refusing = (call: CallName, code: ErrnoName) => ({ ...everything, [call]: refuse(code) });
const noBuffer = null as never;
const page = { pgoff: 0, pages: 1, buf: null, fault: null };

type Case = (k: Kit, code: ErrnoName) => unknown;

function* signalled(k: Kit, op: Op<unknown>): Op<unknown> {
  k.scheduler.signal(k.scheduler.current as never);
  return yield* op;
}

/** A buffer with an unsignalled KERNEL fence. */
function busy(k: Kit, ops: DmaBufOps = everything) {
  const buf = k.exported(ops);
  const held = k.hold(buf.resv);
  buf.resv.reserveFences(held, 1);
  buf.resv.addFence(held, k.fence(), Usage.KERNEL);
  held[Symbol.dispose]();
  return buf;
}

const alloc = (op: string) => (contract: Contract) => kit(contract, { allocFails: (asked) => asked === op });

/** Cases by call and errno; `*` is for any errno: the exporter's own. Each gets a kernel of the contract. */
const cases: Partial<Record<CallName, Partial<Record<ErrnoName | "*", Case>>>> = {
  attach: { "*": (k, code) => k.attach(k.exported(refusing("attach", code))) },
  pin: {
    "*"(k, code) {
      const at = k.attach(k.exported({ ...refusing("pin", code), unpin() {} }));
      using held = k.hold(at.buf.resv);
      k.complete(k.fw.pinAttachment(at, held));
    },
  },
  mapDmaBuf: { "*": (k, code) => mapOf(k, refusing("mapDmaBuf", code)) },
  getPfn: { "*": (k, code) => queryOf(k, refusing("getPfn", code)) },
  beginCpuAccess: {
    "*": (k, code) => k.complete(k.fw.beginAccess(k.exported(refusing("beginCpuAccess", code)), "to-device")),
  },
  endCpuAccess: {
    "*": (k, code) => k.complete(k.fw.endAccess(k.exported(refusing("endCpuAccess", code)), "to-device")),
  },
  mmap: {
    EFAULT(k) {
      const window = k.complete(k.fw.open(k.attach(k.exported(everything)), "bidirectional"));
      k.complete(window.runs(0, 4096, null));
    },
    "*": (k, code) => k.complete(k.fw.mmapFile(k.exported(refusing("mmap", code)), page)),
  },
  vmap: { "*": (k, code) => k.complete(k.fw.vmapBufferUnlocked(k.exported(refusing("vmap", code)))) },
  export: {
    EINVAL: (k) => k.exported({ release() {} }),
    ENOENT: (k) => k.exported(everything, { owner: { tryGet: () => false, put() {} } }),
    ENOMEM: (k) => alloc("dma_buf_export")(k.fw.contract).exported(everything),
  },
  staticAttach: {
    EINVAL: (k) => k.complete(k.fw.staticAttach(noBuffer, null, "imp")),
    ENOMEM: (k) => attachWithout(k, null),
    EBUSY: (k) => k.attach(k.exported({ ...everything, ...moves, pin: refuse("EBUSY") }), device, null),
    ERESTARTSYS: (k) =>
      k.complete(signalled(k, k.fw.staticAttach(busy(k, { ...everything, ...moves }), device, "imp"))),
  },
  dynamicAttach: {
    EINVAL: (k) => k.complete(k.fw.dynamicAttach(noBuffer, null, { name: "imp", ops: importer })),
    ENOMEM: (k) => attachWithout(k, importer),
    EBUSY: (k) => k.attach(k.exported({ ...everything, ...moves, pin: refuse("EBUSY") }), device, null),
    ERESTARTSYS: (k) =>
      k.complete(
        signalled(k, k.fw.dynamicAttach(busy(k, { ...everything, ...moves }), device, { name: "imp", ops: null })),
      ),
  },
  mapAttachment: {
    EINVAL: (k) => k.complete(k.fw.mapAttachment(null as never, "to-device", null as never)),
    ENOMEM: (k) => mapOf(k, { ...everything, mapDmaBuf: () => undefined as never }),
    EBUSY(k) {
      if (!k.fw.contract.policy.cacheSgtMapping)
        return mapOf(k, { ...everything, ...moves, pin: refuse("EBUSY") }, null);
      const at = k.attach(
        k.exported({ ...moves, pin: undefined, unpin: undefined, cacheSgtMapping: true } as never),
        device,
        null,
      );
      k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
      k.complete(k.fw.mapAttachmentUnlocked(at, "from-device"));
    },
    ERESTARTSYS(k) {
      const at = k.attach(busy(k), device, null);
      k.complete(signalled(k, k.fw.mapAttachmentUnlocked(at, "to-device")));
    },
  },
  mapAttachmentUnlocked: {
    EINVAL: (k) => k.complete(k.fw.mapAttachmentUnlocked(null as never, "to-device")),
    ENOMEM: (k, code) => cases.mapAttachment?.ENOMEM?.(k, code),
    EBUSY: (k, code) => cases.mapAttachment?.EBUSY?.(k, code),
    ERESTARTSYS: (k, code) => cases.mapAttachment?.ERESTARTSYS?.(k, code),
  },
  getPfnAttachment: { EINVAL: (k) => queryOf(k, maps) },
  getPfnUnlocked: {
    EINVAL: (k) => queryOf(k, maps),
    ENOENT: ({ fw: { contract } }) => queryOf(kit(contract, { moveNotify: false }), { ...asks, pin() {}, unpin() {} }),
  },
  beginAccess: {
    EINVAL: (k) => k.complete(k.fw.beginAccess(noBuffer, "to-device")),
    ERESTARTSYS: (k) => k.complete(signalled(k, k.fw.beginAccess(busy(k), "from-device"))),
  },
  mmapBuffer: {
    EINVAL: (k) => k.complete(k.fw.mmapBuffer(k.exported(everything), page, 4)),
    EOVERFLOW: (k) => k.complete(k.fw.mmapBuffer(k.exported(everything), { ...page, pages: 4096 }, 2 ** 64 - 2048)),
  },
  mmapFile: { EINVAL: (k) => k.complete(k.fw.mmapFile(k.exported(everything), { ...page, pgoff: 4 })) },
  vmapBuffer: {
    EINVAL: (k) => k.complete(k.fw.vmapBufferUnlocked(k.exported({ ...everything, vmap: undefined } as never))),
  },
  vmapBufferUnlocked: { EINVAL: (k) => k.complete(k.fw.vmapBufferUnlocked(noBuffer)) },
};

function mapOf(k: Kit, ops: object, importerOps: typeof importer | null = importer): void {
  const at = k.attach(k.exported({ ...ops, ...(importerOps && { pin() {}, unpin() {} }) }), device, importerOps);
  k.complete(k.fw.mapAttachmentUnlocked(at, "to-device"));
}

function queryOf(k: Kit, ops: object): void {
  const at = k.attach(k.exported(ops), device);
  if (!k.fw.contract.rows.getPfnAttachment) return void k.complete(k.fw.getPfnUnlocked(at, 99));
  using held = k.hold(at.buf.resv);
  k.complete(k.fw.getPfnAttachment(at, 99, held));
}

function attachWithout(k: Kit, ops: typeof importer | null): void {
  const poor = alloc("dma_buf_dynamic_attach")(k.fw.contract);
  const named = alloc("mmu_notifier_register")(k.fw.contract);
  for (const { exported, complete, fw } of [poor, named])
    complete(
      ops
        ? fw.dynamicAttach(exported(everything), device, { name: "imp", ops })
        : fw.staticAttach(exported(everything), device, "imp"),
    );
}

describe.each(contracts)("$id", (contract) => {
  const wanted = rowsOf(contract).flatMap(([call, row]) =>
    row.party === "file" ? [] : Object.keys(row.errors).map((code) => [call, code] as const),
  );
  it.each(wanted as [CallName, ErrnoName][])("%s answers %s", (call, code) => {
    const act = cases[call]?.[code] ?? cases[call]?.["*"];
    if (!act) throw new Error(`no case reaches ${code} of ${call}: add one`);
    expect(errnoOf(() => act(kit(contract), code))).toBe(code);
  });
});

describe("reservation and fence", () => {
  const sync: Partial<Record<SyncCall, Partial<Record<ErrnoName, (env: Env) => unknown>>>> = {
    lock: {
      EALREADY: (env) =>
        run(env, function* () {
          const [resv, ticket] = [new DmaResv("R", env), new AcquireTicket(env)];
          using _held = yield* resv.lock(ticket);
          using _again = yield* resv.lock(ticket);
        }),
      EDEADLK: (env) =>
        contend(env, function* (a, b) {
          const [older, younger] = [new AcquireTicket(env), new AcquireTicket(env)];
          env.scheduler.spawn(
            "older",
            holdWhile(b, older, () => a.locked),
          );
          yield* until("the older one", () => b.locked);
          using _held = yield* a.lock(younger);
          using _other = yield* b.lock(younger);
        }),
      EINTR: (env) => interrupted(env, (resv) => resv.lock(null, { interruptible: true })),
    },
    lockSlow: {
      EINTR: (env) => interrupted(env, (resv) => resv.lockSlow(new AcquireTicket(env), { interruptible: true })),
    },
    reserveFences: {
      EINVAL: (env) => held(env, (resv, guard) => resv.reserveFences(guard, 0)),
      ENOMEM: () => held(poorEnv(), (resv, guard) => resv.reserveFences(guard, 1)),
    },
    copyFences: { ENOMEM: () => held(poorEnv(), (resv, guard) => resv.copyFences(guard, resv)) },
    getFences: {
      ENOMEM() {
        let poor = false;
        const env = new Env(new Scheduler(), { allocFails: () => poor });
        held(env, (resv, guard) => {
          resv.reserveFences(guard, 1);
          resv.addFence(guard, newFence(env), Usage.READ);
          poor = true;
          resv.getFences(Usage.READ);
        });
      },
    },
    waitTimeout: {
      ERESTARTSYS: (env) =>
        held(env, (resv, guard) => {
          resv.reserveFences(guard, 1);
          resv.addFence(guard, newFence(env), Usage.WRITE);
          run(env, function* () {
            env.scheduler.signal(env.scheduler.current as never);
            yield* resv.waitTimeout(Usage.READ, { interruptible: true });
          });
        }),
    },
    addCallback: {
      ENOENT(env) {
        const fence = newFence(env);
        fence.signal();
        fence.addCallback({ run() {} });
      },
      EINVAL: (env) => newFence(env).addCallback(null as never),
    },
    signalStrict: {
      EINVAL(env) {
        const fence = newFence(env);
        fence.signalStrict();
        fence.signalStrict();
      },
    },
    wait: {
      EINVAL: (env) => run(env, () => newFence(env).wait({ timeoutTicks: -1 })),
      ERESTARTSYS: (env) =>
        run(env, function* () {
          env.scheduler.signal(env.scheduler.current as never);
          yield* newFence(env).wait({ interruptible: true });
        }),
    },
  };
  const newFence = (env: Env) => new DmaFence(env, mock, 1, 1);
  const poorEnv = () => new Env(new Scheduler(), { allocFails: () => true });
  const run = (env: Env, op: () => Op<unknown>) => env.scheduler.complete("test", op());
  function held(env: Env, act: (resv: DmaResv, guard: ResvGuard) => unknown): void {
    const resv = new DmaResv("R", env);
    using guard = resv.tryLock() as ResvGuard;
    act(resv, guard);
  }
  function* holdWhile(resv: DmaResv, ticket: AcquireTicket, needed: () => boolean): Op<void> {
    using _held = yield* resv.lock(ticket);
    yield* until("the younger one", needed);
    yield* until("the younger one", () => !needed());
  }
  const contend = (env: Env, act: (a: DmaResv, b: DmaResv) => Op<void>) =>
    run(env, () => act(new DmaResv("A", env), new DmaResv("B", env)));
  const interrupted = (env: Env, lock: (resv: DmaResv) => Op<unknown>) =>
    run(env, function* () {
      const resv = new DmaResv("R", env);
      using _held = resv.tryLock();
      const task = env.scheduler.spawn("waiter", lock(resv));
      env.scheduler.signal(task);
      yield* until("the waiter", () => task.state !== "runnable");
      throw task.error;
    });

  const wanted = Object.entries(syncRows).flatMap(([call, row]) =>
    Object.keys(row.errors).map((code) => [call, code] as [SyncCall, ErrnoName]),
  );
  it.each(wanted)("%s answers %s", (call, code) => {
    const act = sync[call]?.[code];
    if (!act) throw new Error(`no case reaches ${code} of ${call}: add one`);
    expect(errnoOf(() => act(new Env(new Scheduler())))).toBe(code);
  });
});
