import { errnoOf, refusal } from "@dma-buf/config/refusal";
import { contracts, type FileCall, type Op, rowsOf, StuckError, Usage } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { FdTable } from "./fd-table.js";
import { DmaBufFiles } from "./files.js";
import { DMA_BUF_IOCTL } from "./ioctl.js";
import { kit, plain } from "./testing.js";

describe("fds", () => {
  it("an fd consumes the reference; a full table leaves it; closing releases", () => {
    let released = 0;
    const k = kit({ fds: new FdTable(2) });
    const buf = k.exported({ ...plain, release: () => void released++ });
    const fd = k.files.fd(buf);
    expect([k.files.getByFd(fd), buf.refs]).toEqual([buf, 2]);
    k.complete(k.framework.put(buf));
    const reserved = k.files.fds.reserve() as number;
    expect([refusal(() => k.files.getByFd(reserved)), refusal(() => k.files.fd(buf)), buf.refs]).toEqual([
      "EBADF@fd",
      "EMFILE@fd",
      1,
    ]);
    k.framework.get(buf);
    k.files.fdInstall(buf, reserved);
    for (const open of [fd, reserved]) k.complete(k.files.fds.close(open));
    expect([released, k.framework.ledger.buffers, refusal(() => k.files.getByFd(fd))]).toEqual([1, 0, "EBADF@fd"]);
  });

  it("events are the kernel's: closing a file is no dma_buf_put", () => {
    const k = kit();
    const buf = k.exported();
    const fd = k.files.fd(buf);
    k.files.getByFd(fd);
    k.complete(k.framework.put(buf));
    k.complete(k.files.fds.close(fd));
    const events = k.framework.trace.events.filter((e) => e.kind === "tracepoint").map((e) => e.text);
    expect(events).toEqual([
      "dma_buf_export: exp_name=x size=16384 ino=1",
      "dma_buf_fd: exp_name=x size=16384 ino=1 fd=0",
      "dma_buf_get: exp_name=x size=16384 ino=1 fd=0",
      "dma_buf_put: exp_name=x size=16384 ino=1",
    ]);
    expect(k.framework.ledger.buffers).toBe(0);
  });

  it("an fd that was not reserved cannot be filled", () => {
    expect(() => kit().files.fds.install(3, { kind: "eventfd", *release() {} })).toThrow("fd 3 is not reserved");
  });
});

it("lseek tells the size", () => {
  const k = kit();
  const buf = k.exported();
  expect([k.files.llseek(buf, 0, 2), k.files.llseek(buf, 0, 0)]).toEqual([16384, 0]);
  const bad = [
    [0, 1],
    [1, 0],
    [1, 2],
  ] as const;
  for (const [offset, whence] of bad) expect(refusal(() => k.files.llseek(buf, offset, whence))).toBe("EINVAL@fd");
});

describe("ioctl", () => {
  it("SYNC wants a direction, and knows 64 bits", () => {
    const log: string[] = [];
    const k = kit();
    const buf = k.exported({
      ...plain,
      beginCpuAccess: (_b, d) => void log.push(`begin ${d}`),
      endCpuAccess: (_b, d) => void log.push(`end ${d}`),
    });
    const sync = (flags: number) => refusal(() => k.complete(k.files.ioctl(buf, DMA_BUF_IOCTL.SYNC, { flags })));
    const flags = [0, 1, 2, 3, 4, 5, 6, 7, 8, 2 ** 32 + 1, 2 ** 40 + 5, 1.5, -1];
    expect(flags.filter((f) => sync(f) === "ok")).toEqual([1, 2, 3, 5, 6, 7]);
    expect(log).toEqual([
      "begin from-device",
      "begin to-device",
      "begin bidirectional",
      "end from-device",
      "end to-device",
      "end bidirectional",
    ]);
  });

  it("names have at most 31 bytes", () => {
    const k = kit();
    const buf = k.exported();
    const name = (text: string) => refusal(() => k.complete(k.files.ioctl(buf, DMA_BUF_IOCTL.SET_NAME_B, text)));
    expect(["a".repeat(31), "a".repeat(32), "ü".repeat(16), ""].map(name)).toEqual([
      "ok",
      "EINVAL@fd",
      "EINVAL@fd",
      "ok",
    ]);
    expect(buf.name).toBe("");
  });

  it("what another package adds is called; a Promise is refused", () => {
    const added = new Map([
      [1, () => 42],
      [2, () => Promise.resolve() as never],
    ]);
    const k = kit({ ioctls: added });
    const buf = k.exported();
    expect(k.complete(k.files.ioctl(buf, 1, null))).toBe(42);
    expect(() => k.complete(k.files.ioctl(buf, 2, null))).toThrow("ioctl 2 returned a Promise");
  });
});

describe("poll", () => {
  it("is ready, or armed on a fence with a reference until it signals, which wakes", () => {
    const k = kit();
    const buf = k.exported();
    const read = k.busy(buf, Usage.READ);
    let woken = 0;
    const poll = () => k.complete(k.files.poll(buf, ["in", "out"], () => void woken++)).join();
    expect([poll(), buf.refs]).toEqual(["in", 2]);
    const write = k.busy(buf, Usage.WRITE);
    expect([poll(), buf.refs]).toEqual(["", 3]);
    read.signal();
    k.scheduler.run();
    // Both polls for `out` are woken; `in` waits for the other fence.
    expect([woken, buf.refs]).toEqual([2, 2]);
    write.signal();
    k.scheduler.run();
    expect([woken, buf.refs, poll()]).toEqual([3, 1, "out,in"]);
  });

  it("a fence that turns out to be done is passed over, and leaves nothing behind", () => {
    const k = kit();
    const buf = k.exported();
    k.busy(buf, Usage.WRITE, () => false);
    const open = k.busy(buf, Usage.WRITE);
    let woken = 0;
    const poll = () => k.complete(k.files.poll(buf, ["in"], () => void woken++)).join();
    expect([poll(), buf.refs]).toEqual(["", 2]);
    open.signal();
    k.scheduler.run();
    k.busy(buf, Usage.WRITE, () => false);
    expect([woken, buf.refs, poll(), buf.refs]).toEqual([1, 1, "in", 1]);
  });
});

it("processes share a buffer's armed poll; a waker that throws keeps nobody asleep and no reference", () => {
  const k = kit();
  const buf = k.exported();
  const fence = k.busy(buf, Usage.WRITE);
  const woken: string[] = [];
  const bad = () => {
    throw new Error("mine");
  };
  k.complete(k.files.poll(buf, ["in"], bad));
  k.complete(new DmaBufFiles(k.framework).poll(buf, ["in"], () => void woken.push("other")));
  expect(buf.refs).toBe(2);
  expect(() => fence.signal()).toThrow("mine");
  k.scheduler.run();
  expect([woken, buf.refs]).toEqual([["other"], 1]);
});

const { SYNC, SET_NAME_A } = DMA_BUF_IOCTL;
const noBuffer = null as never;
type Kit = ReturnType<typeof kit>;
const errors: Partial<Record<FileCall, Readonly<Record<string, (k: Kit) => unknown>>>> = {
  fd: {
    EINVAL: (k) => k.files.fd(noBuffer),
    EMFILE: (k) => new DmaBufFiles(k.framework, { fds: new FdTable(0) }).fd(k.exported()),
  },
  getByFd: {
    EBADF: (k) => k.files.getByFd(3),
    EINVAL(k) {
      k.files.fds.install(k.files.fds.reserve() ?? -1, { kind: "eventfd", *release() {} });
      k.files.getByFd(0);
    },
  },
  llseek: { EINVAL: (k) => k.files.llseek(k.exported(), 0, 1) },
  ioctl: {
    EINVAL: (k) => k.complete(k.files.ioctl(k.exported(), SYNC, { flags: 4 })),
    EFAULT: (k) => k.complete(k.files.ioctl(k.exported(), SET_NAME_A, null)),
    ENOTTY: (k) => k.complete(k.files.ioctl(k.exported(), 0x6201, null)),
    ERESTARTSYS(k) {
      const buf = k.exported();
      k.busy(buf, Usage.WRITE);
      const task = k.scheduler.spawn("reader", k.files.ioctl(buf, SYNC, { flags: 1 }));
      k.scheduler.signal(task);
      k.scheduler.run();
      throw task.error;
    },
  },
};

const TEXTS = ["the reservation is held, and the call takes it", "the reservation is held: it must not be"];
const whileHeld: Partial<Record<FileCall, (k: Kit, buf: ReturnType<Kit["exported"]>, fd: number) => unknown>> = {
  fd: (k, buf) => k.files.fd(buf),
  fdInstall: (k, buf, fd) => k.files.fdInstall(buf, fd),
  getByFd: (k, buf) => {
    k.files.fdInstall(buf, k.files.fds.reserve() ?? -1);
    k.framework.env.findings.length = 0;
    k.files.getByFd(1);
  },
  poll: (k, buf) => k.files.poll(buf, ["in"], () => {}),
  ioctl: (k, buf) => k.files.ioctl(buf, SET_NAME_A, "x"),
};

describe.each(contracts)("$id", (contract) => {
  const ops = { ...plain, getPfn: () => ({ pfn: 1 as never, maxOrder: 0 }), mmap() {} };
  const mine = (k: Kit): Kit => ({ ...k, exported: (given = ops) => k.exported(given) });
  const rows = rowsOf(contract).filter(([, row]) => row.party === "file");
  const codes = rows.flatMap(([call, row]) => Object.keys(row.errors).map((code) => [call as FileCall, code] as const));
  it.each(codes)("%s answers %s", (call, code) => {
    const act = errors[call]?.[code];
    if (!act) throw new Error(`no case reaches ${code} of ${call}: add one`);
    expect(errnoOf(() => act(mine(kit({}, contract))))).toBe(code);
  });

  const texts = rows.flatMap(([call, row]) => row.findings.map((text) => [call as FileCall, text, row.id] as const));
  it.each(texts)("%s: %s", (call, text, id) => {
    const act = whileHeld[call];
    if (!act || !TEXTS.includes(text)) throw new Error(`no case reaches "${text}" of ${call}: add one`);
    const k = kit({}, contract);
    const buf = k.exported(ops);
    const fd = k.files.fds.reserve() as number;
    const task = function* (): Op<void> {
      using _held = yield* buf.resv.lock();
      const result = act(k, buf, fd);
      if (call === "poll" || call === "ioctl") yield* result as Op<unknown>;
    };
    try {
      k.complete(task());
    } catch (error) {
      if (!(error instanceof StuckError)) throw error;
    }
    expect(k.framework.findings.map((f) => f.requirement)).toContain(id);
  });

  it("every row of a file has a method", () => {
    const methods = Object.getOwnPropertyNames(DmaBufFiles.prototype);
    expect(rows.map(([call]) => call).filter((call) => !methods.includes(call))).toEqual([]);
  });
});
