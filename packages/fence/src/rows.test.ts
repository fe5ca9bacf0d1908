/** Every errno and every finding of this package's rows is reached by a case; one without fails. */
import { errnoOf } from "@dma-buf/config/refusal";
import {
  DmaFence,
  Env,
  type ErrnoName,
  explore,
  Framework,
  linux73,
  Scheduler,
  usageRw,
  Usage,
  type ResvGuard,
  DmaResv,
} from "@dma-buf/core";
import { DmaBufFiles, FdTable } from "@dma-buf/file";
import { describe, expect, it } from "vitest";
import { createFenceArray } from "./array.js";
import { createFenceChain, findSeqno } from "./chain.js";
import { type FenceCall, fenceRows } from "./rows.js";
import { getSingleton } from "./singleton.js";
import {
  createSyncFile,
  SYNC_FILE_IOCTL,
  syncFileDeadline,
  syncFileInfo,
  syncFileIoctls,
  syncFileMerge,
  syncFilePoll,
} from "./sync-file.js";
import { world } from "./testing.js";
import { Timeline } from "./timeline.js";
import { mergeFences } from "./unwrap.js";
import { laterFence, waitAny } from "./wait.js";

const mock = { driverName: () => "mock", timelineName: () => "mock" };
const poor = () => new Env(new Scheduler(), { allocFails: () => true });
const fences = (env: Env) => [1, 2].map((context) => new DmaFence(env, mock, context, 1));
const file = (env: Env, fds: FdTable) => {
  const fd = fds.reserve() as number;
  const made = createSyncFile(fences(env)[0] as DmaFence);
  fds.install(fd, made);
  return { fd, made };
};

function kernel({ allocFails = () => false, fds }: { allocFails?: (op: string) => boolean; fds?: FdTable } = {}) {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: linux73, scheduler, allocFails });
  const files = new DmaBufFiles(fw, { ioctls: syncFileIoctls, ...(fds && { fds }) });
  const ops = { mapDmaBuf: () => ({ runs: [] }), unmapDmaBuf() {}, release() {} };
  const buf = fw.export({ exporterName: "x", ops, sizeBytes: 4096, priv: {} });
  const ioctl = (command: number, arg: unknown) => scheduler.complete("ioctl", files.ioctl(buf, command, arg));
  return { fw, fds: files.fds, files, buf, ioctl, scheduler };
}
const { EXPORT, IMPORT } = SYNC_FILE_IOCTL;
const without = (op: string) => ({ allocFails: (asked: string) => asked === op });

const errors: Record<FenceCall, Partial<Record<ErrnoName, () => unknown>>> = {
  createArray: {},
  createChain: {},
  later: {},
  findSeqno: { EINVAL: () => findSeqno(world().fence(), 1) },
  merge: {
    ENOMEM() {
      const env = poor();
      mergeFences(env, fences(env));
    },
  },
  waitAny: {
    EINVAL: () => anyOf([], 1),
    ENOMEM() {
      const env = poor();
      env.scheduler.complete("w", waitAny(env, fences(env)));
    },
    ERESTARTSYS() {
      const { env, scheduler, fence } = world();
      const task = scheduler.spawn("w", waitAny(env, [fence()], { interruptible: true }));
      scheduler.signal(task);
      scheduler.run();
      throw task.error;
    },
  },
  getSingleton: {
    ENOMEM() {
      const env = new Env(new Scheduler(), without("dma_resv_get_singleton"));
      getSingleton(filled(env).resv, Usage.READ);
    },
  },
  syncMerge: {
    EINVAL: () => merge({}, { flags: 1 }),
    ENOENT: () => merge({ fd2: 99 }),
    ENOMEM: () => merge({ env: new Env(new Scheduler(), without("SYNC_IOC_MERGE")) }),
    EMFILE: () => merge({ fds: new FdTable(1) }),
  },
  syncInfo: { EINVAL: () => syncFileInfo(file(world().env, new FdTable()).made, 0, { pad: 1 }) },
  syncDeadline: { EINVAL: () => syncFileDeadline(file(world().env, new FdTable()).made, 0, 1) },
  exportSyncFile: {
    EFAULT: () => kernel().ioctl(EXPORT, null),
    EINVAL: () => kernel().ioctl(EXPORT, { flags: 0 }),
    EMFILE: () => kernel({ fds: new FdTable(0) }).ioctl(EXPORT, { flags: 1 }),
    ENOMEM: () => kernel(without("DMA_BUF_IOCTL_EXPORT_SYNC_FILE")).ioctl(EXPORT, { flags: 1 }),
  },
  importSyncFile: {
    EFAULT: () => kernel().ioctl(IMPORT, null),
    EINVAL: () => kernel().ioctl(IMPORT, { flags: 1, fd: 7 }),
    ENOMEM() {
      const k = kernel(without("DMA_BUF_IOCTL_IMPORT_SYNC_FILE"));
      k.ioctl(IMPORT, { flags: 1, fd: file(k.fw.env, k.fds).fd });
    },
  },
};

const findings: Partial<Record<FenceCall, Readonly<Record<string, (env: Env) => unknown>>>> = {
  createArray: {
    "no members": (env) => createFenceArray(env, []),
    "a member is a container": (env) => createFenceArray(env, [createFenceArray(env, fences(env))]),
  },
  createChain: {
    "the contained fence is a chain": (env) =>
      createFenceChain(env, null, createFenceChain(env, null, fences(env)[0] as DmaFence, 1), 1),
  },
  later: { "the contexts differ": (env) => laterFence(...(fences(env) as [DmaFence, DmaFence])) },
  waitAny: { "no fences, or a negative timeout": (env) => env.scheduler.complete("w", waitAny(env, [])) },
};

function anyOf(list: DmaFence[], timeoutTicks: number) {
  const { env, complete } = world();
  return complete(waitAny(env, list, { timeoutTicks }));
}

function merge({ env = world().env, fds = new FdTable(), fd2 = 0 }, reserved = {}): number {
  const { made } = file(env, fds);
  return syncFileMerge(env, fds, made, fd2, "merged", reserved);
}

function filled(env: Env) {
  const resv = new DmaResv("R", env);
  const held = resv.tryLock() as ResvGuard;
  const [read, write] = fences(env) as [DmaFence, DmaFence];
  resv.reserveFences(held, 2);
  resv.addFence(held, read, Usage.READ);
  resv.addFence(held, write, Usage.WRITE);
  held[Symbol.dispose]();
  return { resv, read, write };
}

describe("rows", () => {
  const calls = Object.entries(fenceRows) as [FenceCall, (typeof fenceRows)[FenceCall]][];
  const codes = calls.flatMap(([call, row]) =>
    Object.keys(row.errors).map((code) => ({ call, code: code as ErrnoName })),
  );
  it.each(codes)("$call answers $code", ({ call, code }) => {
    const act = errors[call][code];
    if (!act) throw new Error(`no case reaches ${code} of ${call}: add one`);
    expect(errnoOf(act)).toBe(code);
  });
  const texts = calls.flatMap(([call, row]) => row.findings.map((text) => ({ call, text, id: row.id })));
  it.each(texts)("$call: $text", ({ call, text, id }) => {
    const act = findings[call]?.[text];
    if (!act) throw new Error(`no case reaches "${text}" of ${call}: add one`);
    const { env } = world();
    errnoOf(() => act(env));
    expect(env.findings.map((f) => f.requirement)).toContain(id);
  });
});

describe("wait any", () => {
  it("tells the first of the list that is done; 0 asks; time can be up", () => {
    const { fence } = world();
    const [a, b] = [fence(), fence()];
    expect([anyOf([a, b], 0), anyOf([a, b], 5)]).toEqual([
      { left: 0, index: -1 },
      { left: 0, index: -1 },
    ]);
    b.signal();
    expect([anyOf([a, b], 0), anyOf([a, b], 5)]).toEqual([
      { left: 1, index: 1 },
      { left: 5, index: 1 },
    ]);
  });
  it("the later of two, if it is not done", () => {
    const { fence } = world();
    const [a, b] = [fence(1, 1), fence(1, 2)];
    expect([laterFence(a, b), laterFence(b, a)]).toEqual([b, b]);
    b.signal();
    expect(laterFence(a, b)).toBeNull();
  });
});

describe("sync files", () => {
  it("EXPORT for READ gives what a reader waits for, for WRITE readers too; done is a stub", () => {
    const k = kernel();
    const held = k.buf.resv.tryLock() as ResvGuard;
    const [reader, writer] = fences(k.fw.env) as [DmaFence, DmaFence];
    k.buf.resv.reserveFences(held, 2);
    k.buf.resv.addFence(held, reader, Usage.READ);
    k.buf.resv.addFence(held, writer, Usage.WRITE);
    held[Symbol.dispose]();
    const exported = (flags: number) => {
      const made = k.fds.get(k.ioctl(EXPORT, { flags }) as number) as never;
      return syncFileInfo(made, 0).numFences;
    };
    expect([exported(1), exported(2), exported(3)]).toEqual([1, 2, 2]);
    for (const f of [reader, writer]) f.signal();
    expect([exported(3), getSingleton(k.buf.resv, usageRw(true))]).toEqual([1, null]);
  });

  it("IMPORT adds every leaf as the flags say; a refused one leaves no fd and no fence", () => {
    const k = kernel();
    const { env } = k.fw;
    const { fds } = k;
    const array = createFenceArray(env, fences(env));
    const fd = fds.reserve() as number;
    fds.install(fd, createSyncFile(array));
    k.ioctl(IMPORT, { flags: 1, fd });
    expect([k.buf.resv.getFences(Usage.WRITE).length, k.buf.resv.getFences(Usage.READ).length]).toEqual([0, 2]);
    k.ioctl(IMPORT, { flags: 2, fd });
    expect(k.buf.resv.getFences(Usage.WRITE)).toHaveLength(2);
    expect([errnoOf(() => k.ioctl(EXPORT, { flags: 4 })), fds.reserve()]).toEqual(["EINVAL", 1]);
  });

  it("a refusal after the fd was taken gives it back", () => {
    const k = kernel(without("DMA_BUF_IOCTL_EXPORT_SYNC_FILE"));
    expect([errnoOf(() => k.ioctl(EXPORT, { flags: 1 })), k.fds.reserve()]).toEqual(["ENOMEM", 0]);
    const { env } = world();
    const fds = new FdTable();
    const { made } = file(env, fds);
    expect([errnoOf(() => syncFileMerge(env, fds, made, 99, "merged")), fds.reserve()]).toEqual(["ENOENT", 1]);
  });

  it("MERGE, FILE_INFO, poll and close", () => {
    const { env, scheduler } = world();
    const fds = new FdTable();
    const ring = new Timeline(env, "ring0");
    const [one, two] = [ring.submit(), ring.submit()];
    const files = [one, two].map((fence) => {
      const fd = fds.reserve() as number;
      const made = createSyncFile(fence);
      fds.install(fd, made);
      return made;
    });
    const [first] = files as [(typeof files)[0]];
    expect(first.name).toBe(`timeline-ring0${ring.context}-1`);
    const merged = fds.get(syncFileMerge(env, fds, first, 1, "both")) as (typeof files)[0];
    expect(syncFileInfo(merged, 8)).toEqual({
      name: "both",
      status: 0,
      numFences: 1,
      fences: [{ timeline: "ring0", driver: "timeline", status: 0, timestamp: 0 }],
    });
    let woken = 0;
    expect(syncFilePoll(merged, () => void woken++)).toBe(false);
    ring.advance();
    expect([woken, syncFilePoll(first, () => {})]).toEqual([0, true]);
    ring.advance();
    expect([woken, syncFileInfo(merged, 0).status]).toEqual([1, 1]);
    for (const fd of [0, 1, 2]) scheduler.complete("close", fds.close(fd));
    expect([one.refs, two.refs]).toEqual([1, 1]);
  });
});

describe("what a second reader found", () => {
  it("one callback serves all pollers, and closing takes it back", () => {
    const { env, fence, complete } = world();
    const first = fence();
    const opened = createSyncFile(first);
    let woken = 0;
    for (const _ of [1, 2]) syncFilePoll(opened, () => void woken++);
    first.put();
    complete(opened.release());
    expect([woken, env.findings]).toEqual([0, []]);

    const second = fence();
    const polled = createSyncFile(second);
    for (const _ of [1, 2]) syncFilePoll(polled, () => void woken++);
    second.signal();
    expect(woken).toBe(2);
  });

  it("FILE_INFO tells the failure of a leaf, where its container has none of its own", () => {
    const { env, fence } = world();
    const failed = fence();
    const chain = createFenceChain(env, null, failed.get(), 1);
    failed.setError(-5);
    failed.signal();
    expect(syncFileInfo(createSyncFile(chain), 4).status).toBe(-5);
  });

  it("an array's error is that of the member that failed first", () => {
    const { env, fence } = world();
    const [a, b] = [fence(), fence()];
    const array = createFenceArray(env, [a.get(), b.get()]);
    array.enableSignaling();
    b.setError(-19);
    b.signal();
    a.setError(-5);
    a.signal();
    expect(array.status).toBe(-19);
  });

  it.each(["array", "chain"])("an armed %s holds itself until its members are done", (kind) => {
    const { env, fence } = world();
    const member = fence();
    const container =
      kind === "array" ? createFenceArray(env, [member.get()]) : createFenceChain(env, null, member.get(), 1);
    let ran = 0;
    container.addCallback({ run: () => void ran++ });
    container.put();
    expect([ran, container.refs, env.findings]).toEqual([0, 1, []]);
    member.signal();
    expect([ran, container.refs, member.refs]).toEqual([1, 0, 1]);
  });

  it("a fence that is released while one of several is waited for wakes, with a finding", () => {
    const { env, scheduler, fence } = world();
    const [a, b] = [fence(), fence()];
    const waiter = scheduler.spawn("waiter", waitAny(env, [a, b]));
    scheduler.spawn(
      "dropper",
      (function* () {
        for (let i = 0; i < 3; i++) yield { site: "later", ready: null };
        b.put();
      })(),
    );
    scheduler.run();
    expect([waiter.state, b.status, env.findings.map((f) => f.requirement)]).toEqual([
      "done",
      -35,
      ["sync/dma_fence_release"],
    ]);
  });

  it.each(["array", "chain"])("a callback of an armed %s that throws leaves no reference behind", (kind) => {
    const { env, fence } = world();
    const member = fence();
    const container =
      kind === "array" ? createFenceArray(env, [member.get()]) : createFenceChain(env, null, member.get(), 1);
    container.addCallback({
      run() {
        throw new Error("mine");
      },
    });
    expect(() => member.signal()).toThrow("mine");
    expect([container.refs, container.status]).toEqual([1, 1]);
  });

  it("a sync file may be closed while its import waits for the lock", () => {
    const found = explore(
      (scheduler) => {
        const fw = new Framework({ contract: linux73, scheduler, trace: false });
        const files = new DmaBufFiles(fw, { ioctls: syncFileIoctls });
        const ops = { mapDmaBuf: () => ({ runs: [] }), unmapDmaBuf() {}, release() {} };
        const buf = fw.export({ exporterName: "x", ops, sizeBytes: 4096, priv: {} });
        let released = false;
        const names = { ...mock, release: () => void (released = true) };
        const fence = new DmaFence(fw.env, names, 5, 1);
        const fd = files.fds.reserve() as number;
        files.fds.install(fd, createSyncFile(fence));
        fence.put();
        scheduler.spawn("import", files.ioctl(buf, IMPORT, { flags: 2, fd }));
        scheduler.spawn(
          "close",
          (function* () {
            yield { site: "close", ready: null };
            yield* files.fds.close(fd);
          })(),
        );
        scheduler.run();
        return released && buf.resv.getFences(Usage.BOOKKEEP).length > 0;
      },
      { badness: Number },
    );
    expect([found.kind, found.worst.result]).toEqual(["exhausted", false]);
  });
});
