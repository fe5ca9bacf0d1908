/** `/dev/udmabuf` against what Linux 7.3.4 answered, refusal by refusal, and what each leaves behind: nothing. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, PAGE_SIZE, type PhysAddr, until } from "@dma-buf/core";
import { F_SEAL, type Memfd } from "@dma-buf/machine";
import { describe, expect, it } from "vitest";
import { bytes, item, type Rig, rig } from "./host.test.js";
import { UDMABUF_FLAGS_CLOEXEC, UDMABUF_IOCTL } from "./uapi.js";

interface Raw {
  readonly memfd: number;
  readonly offset: bigint | number;
  readonly size: bigint | number;
}

const put = (view: DataView, at: number, { memfd, offset, size }: Raw): void => {
  view.setUint32(at, memfd, true);
  view.setBigUint64(at + 8, BigInt(offset), true);
  view.setBigUint64(at + 16, BigInt(size), true);
};

/** `struct udmabuf_create`. */
function createArg(raw: Raw, flags = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(24));
  put(view, 0, raw);
  view.setUint32(4, flags, true);
  return new Uint8Array(view.buffer);
}

/** `struct udmabuf_create_list`; `count` may lie. */
function listArg(items: readonly Raw[], count = items.length, flags = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 + items.length * 24));
  view.setUint32(0, flags, true);
  view.setUint32(4, count, true);
  for (const [i, one] of items.entries()) put(view, 8 + i * 24, one);
  return new Uint8Array(view.buffer);
}

const { CREATE, CREATE_LIST } = UDMABUF_IOCTL;
const SHAPE = { variant: "linux-7.3" };

/** Sixteen pages, sealed as they must be; and files that are wrong in one way each. */
function world(given: Parameters<typeof rig>[0] = {}) {
  const r = rig({ ...SHAPE, ...given });
  const sealed = (seals: number): number => {
    const fd = r.memfds.create(PAGE_SIZE);
    r.memfds.memfd(fd).addSeals(seals);
    return fd;
  };
  const good = r.file(16);
  return { r, good, sealed };
}

/** What ioctl(2) answers; after a refusal every ledger is as it was. */
function answer(r: Rig, command: number, user: Uint8Array | null): string {
  const before = r.out();
  const said = refusal(() => r.run(r.exporter.ioctl(command, user, () => 20)));
  if (said !== "ok") expect(r.out()).toEqual(before);
  return said;
}

it("the numbers and sizes of the commands are Linux's", () => {
  // _IOW('u', nr, size): direction, size, letter, number.
  const ioc = (nr: number, size: number): number => 0x4000_0000 + size * 0x1_0000 + 0x7500 + nr;
  expect([CREATE, CREATE_LIST]).toEqual([ioc(0x42, 24), ioc(0x43, 8)]);
});

describe("UDMABUF_CREATE as observed on Linux 7.3.4", () => {
  const one =
    (size: Raw["size"], offset: Raw["offset"] = 0) =>
    (w: ReturnType<typeof world>) =>
      createArg({ memfd: w.good, offset, size });
  const sealedWith = (seals: number) => (w: ReturnType<typeof world>) =>
    createArg({ memfd: w.sealed(seals), offset: 0, size: PAGE_SIZE });
  it.each<[string, (w: ReturnType<typeof world>) => Uint8Array | null, string]>([
    ["memfd+SEAL_SHRINK", one(0x10000), "ok"],
    ["a part of it", one(PAGE_SIZE, 15 * PAGE_SIZE), "ok"],
    ["no seal", sealedWith(0), "EINVAL@export"],
    ["F_SEAL_WRITE too", sealedWith(F_SEAL.SHRINK | F_SEAL.WRITE), "EINVAL@export"],
    ["F_SEAL_FUTURE_WRITE too", sealedWith(F_SEAL.SHRINK | F_SEAL.FUTURE_WRITE), "EINVAL@export"],
    ["F_SEAL_GROW too", sealedWith(F_SEAL.SHRINK | F_SEAL.GROW), "ok"],
    [
      "without MFD_ALLOW_SEALING",
      ({ r }) => createArg({ memfd: r.memfds.create(4096, { allowSealing: false }), offset: 0, size: 4096 }),
      "EINVAL@export",
    ],
    ["size 0", one(0), "EINVAL@export"],
    ["size unaligned", one(PAGE_SIZE + 1), "EINVAL@export"],
    ["offset unaligned", one(PAGE_SIZE, 0x800), "EINVAL@export"],
    ["size > memfd", one(17 * PAGE_SIZE), "EINVAL@export"],
    ["offset+size > memfd", one(2 * PAGE_SIZE, 15 * PAGE_SIZE), "EINVAL@export"],
    ["offset at the end", one(PAGE_SIZE, 16 * PAGE_SIZE), "EINVAL@export"],
    ["offset of 2^63, negative to the kernel", one(PAGE_SIZE, 2n ** 63n), "EINVAL@export"],
    ["1 TiB, before the fd is looked at", () => createArg({ memfd: 99, offset: 0, size: 2n ** 40n }), "ENOMEM@export"],
    ["one page less than 1 TiB", one(2n ** 40n - 4096n), "EINVAL@export"],
    ["the largest aligned size", one(2n ** 64n - 4096n), "EINVAL@export"],
    ["bad fd", () => createArg({ memfd: 99, offset: 0, size: PAGE_SIZE }), "EBADFD@export"],
    ["fd -1", () => createArg({ memfd: 0xffff_ffff, offset: 0, size: PAGE_SIZE }), "EBADFD@export"],
    [
      "non-memfd fd: an eventfd, a guest_memfd, a dma-buf",
      ({ r }) => createArg({ memfd: r.memfds.openOther(), offset: 0, size: PAGE_SIZE }),
      "EBADFD@export",
    ],
    ["unknown flags 0xfe", ({ good }) => createArg({ memfd: good, offset: 0, size: PAGE_SIZE }, 0xfe), "ok"],
    ["NULL arg", () => null, "EFAULT@export"],
    ["an arg that ends one byte early", (w) => one(PAGE_SIZE)(w).subarray(0, 23), "EFAULT@export"],
    ["hugetlb memfd", ({ r }) => createArg({ memfd: r.file(512, 2 ** 21), offset: 0, size: 2 ** 21 }), "ok"],
    [
      "hugetlb 4k slice at 0x1000",
      ({ r }) => createArg({ memfd: r.file(512, 2 ** 21), offset: 0x1000, size: PAGE_SIZE }),
      "ok",
    ],
  ])("%s", (_name, arg, expected) => {
    const w = world();
    expect(answer(w.r, CREATE, arg(w))).toBe(expected);
  });

  it("unknown ioctl", () => {
    expect(answer(world().r, 0x4008_7544, null)).toBe("ENOTTY@export");
  });
});

describe("UDMABUF_CREATE_LIST", () => {
  const page = (memfd: number, n = 0): Raw => ({ memfd, offset: n * PAGE_SIZE, size: PAGE_SIZE });
  it.each<[string, (w: ReturnType<typeof world>) => Uint8Array | null, string]>([
    ["2 items", ({ good }) => listArg([page(good, 3), page(good, 1)]), "ok"],
    ["count 0", () => listArg([]), "EINVAL@export"],
    ["count 1024", ({ good }) => listArg(Array.from({ length: 1024 }, (_, i) => page(good, i % 16))), "ok"],
    ["count 1025", ({ good }) => listArg(Array.from({ length: 1025 }, () => page(good))), "EINVAL@export"],
    ["count 1025, before its items are read", () => listArg([], 1025), "EINVAL@export"],
    ["count 2^32 - 1", () => listArg([], 2 ** 32 - 1), "EINVAL@export"],
    ["fewer items than it says", ({ good }) => listArg([page(good)], 2), "EFAULT@export"],
    ["a head that ends early", () => listArg([]).subarray(0, 7), "EFAULT@export"],
    ["NULL", () => null, "EFAULT@export"],
    [
      "an empty item beside a good one",
      ({ good }) => listArg([page(good), { ...page(good), size: 0 }]),
      "EINVAL@export",
    ],
    ["a bad fd behind a good one: pins are given back", ({ good }) => listArg([page(good), page(99)]), "EBADFD@export"],
    ["bad seals behind a good one", ({ good, sealed }) => listArg([page(good), page(sealed(0))]), "EINVAL@export"],
    ["beyond the end behind a good one", ({ good }) => listArg([page(good), page(good, 16)]), "EINVAL@export"],
  ])("%s", (_name, arg, expected) => {
    const w = world();
    expect(answer(w.r, CREATE_LIST, arg(w))).toBe(expected);
  });
});

describe("the order of the checks", () => {
  const bad = { memfd: 99, offset: 0, size: PAGE_SIZE };
  it.each<[string, Raw[], string, RegExp]>([
    ["offset before size", [{ memfd: 99, offset: 1, size: 1 }], "EINVAL@export", /offset 1 is no multiple/],
    [
      "shape of the last before the fd of the first",
      [bad, { ...bad, size: 1 }],
      "EINVAL@export",
      /size 1 is no multiple/,
    ],
    [
      "the sum before the shape of the next",
      [
        { ...bad, size: 2n ** 62n },
        { ...bad, offset: 1 },
      ],
      "EINVAL@export",
      /size_limit_mb/,
    ],
    ["nothing at all before the fd", [{ ...bad, size: 0 }], "EINVAL@export", /no bytes at all/],
    ["the fd before its range", [{ ...bad, offset: 2n ** 40n }], "EBADFD@export", /not open/],
  ])("%s", (_name, items, expected, message) => {
    const { r } = world();
    const act = () => r.run(r.exporter.ioctl(CREATE_LIST, listArg(items), () => 20));
    expect(refusal(act)).toBe(expected);
    expect(act).toThrow(message);
  });

  it("seals before the range, shrink before write", () => {
    const { r, sealed } = world();
    const act = (seals: number) => () => r.exporter.create([item(sealed(seals), 5, 1)]);
    expect(act(0)).toThrow(/may shrink/);
    expect(act(F_SEAL.WRITE)).toThrow(/may shrink/);
    expect(act(F_SEAL.SHRINK | F_SEAL.WRITE)).toThrow(/sealed against writing/);
    expect(act(F_SEAL.SHRINK)).toThrow(/not within/);
  });

  it("the limits are options: items of a list, MiB of a buffer", () => {
    const { r, good } = world({ options: { listLimit: 1, sizeLimitMb: 1 } });
    const mib = r.file(257);
    expect(refusal(() => r.exporter.create([item(mib, 0, 256)]))).toBe("ok");
    expect(refusal(() => r.exporter.create([item(mib, 0, 257)]))).toBe("EINVAL@export");
    expect(refusal(() => r.exporter.create([item(mib, 0, 200), item(mib, 0, 57)]))).toBe("EINVAL@export");
    expect(
      answer(r, CREATE_LIST, listArg([0, 1].map((n) => ({ memfd: good, offset: n * PAGE_SIZE, size: PAGE_SIZE })))),
    ).toBe("EINVAL@export");
  });
});

describe("ENOMEM", () => {
  it.each(["memdup_user", "udmabuf_create", "init_udmabuf", "dma_buf_export"])("%s: nothing is left", (failing) => {
    const { r, good } = world({ allocFails: (op) => op === failing });
    expect(answer(r, CREATE_LIST, listArg([{ memfd: good, offset: 0, size: PAGE_SIZE }]))).toBe("ENOMEM@export");
  });

  it.each([false, true])("no frame is left for the second file (movable: %s): the first is let go", (movable) => {
    const r = rig({
      ...SHAPE,
      options: { movable },
      memfds: { ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: 4 * PAGE_SIZE } },
    });
    const files = [r.file(3), r.memfds.create(3 * PAGE_SIZE)];
    const [first, sparse] = files.map((fd) => r.memfds.memfd(fd)) as [Memfd, Memfd];
    sparse.addSeals(F_SEAL.SHRINK);
    // It gets the last frame, and there is none for its other pages.
    sparse.write(0, bytes(1));
    const before = r.out();
    expect(refusal(() => r.exporter.create(files.map((fd) => item(fd, 0, 3))))).toBe("ENOMEM@export");
    expect(r.out()).toEqual(before);
    // Nobody follows it any more.
    first.addSeals(F_SEAL.WRITE);
  });
});

describe("what create() is given in this language", () => {
  it.each([-PAGE_SIZE, 0.5, NaN, Infinity, 2 ** 53])("%s is no number of bytes", (value) => {
    const { r, good } = world();
    for (const items of [
      [{ memfd: good, offset: value, sizeBytes: PAGE_SIZE }],
      [{ memfd: good, offset: 0, sizeBytes: value }],
    ])
      expect(() => r.exporter.create(items)).toThrow(/EINVAL.*is no number of bytes/);
  });

  it.each([-1, 0.5, NaN, 2 ** 31])("a limit of %s is a RangeError", (limit) => {
    for (const options of [{ listLimit: limit }, { sizeLimitMb: limit }])
      expect(() => rig({ options })).toThrow(RangeError);
  });

  it("a limit of 0 leaves nothing to ask for", () => {
    const { r, good } = world({ options: { listLimit: 0, sizeLimitMb: 0 } });
    expect(refusal(() => r.exporter.create([item(good, 0, 1)]))).toBe("EINVAL@export");
    expect(answer(r, CREATE_LIST, listArg([{ memfd: good, offset: 0, size: PAGE_SIZE }]))).toBe("EINVAL@export");
  });

  it("movable as posted does not exist", () => {
    expect(() => rig({ options: { movable: true, asPosted: true } })).toThrow(TypeError);
  });
});

describe("the fd", () => {
  it("is what install says; it is told of CLOEXEC and of no other flag", () => {
    const { r, good } = world();
    const seen: boolean[] = [];
    const ask = (flags: number) =>
      r.run(
        r.exporter.ioctl(
          CREATE,
          createArg({ memfd: good, offset: 0, size: PAGE_SIZE }, flags),
          function* (_buf, { cloexec }) {
            seen.push(cloexec);
            return 20;
          },
        ),
      );
    expect([ask(UDMABUF_FLAGS_CLOEXEC), ask(0), ask(0xff), ask(0xfe)]).toEqual([20, 20, 20, 20]);
    expect(seen).toEqual([true, false, true, false]);
    // Each consumed the reference.
    expect(r.exporter.ledger.buffers).toBe(4);
  });

  it("EMFILE: the buffer is released and its pins are given back", () => {
    const { r, good } = world();
    const before = r.out();
    const full = () => {
      throw new DmaBufError("EMFILE", { op: "dma_buf_fd", stage: "fd", message: "the table is full: close an fd" });
    };
    expect(
      refusal(() => r.run(r.exporter.ioctl(CREATE, createArg({ memfd: good, offset: 0, size: PAGE_SIZE }), full))),
    ).toBe("EMFILE@fd");
    expect(r.out()).toMatchObject({ exporter: { buffers: 0 }, machine: { memfdPins: 0 } });
    expect(r.fw.ledger).toEqual((before as { fw: unknown }).fw);
  });

  it("whoever asks is ended inside install: the buffer is released and its pins are given back", () => {
    const { r, good } = world();
    const before = r.out();
    const asked = r.exporter.ioctl(CREATE, createArg({ memfd: good, offset: 0, size: PAGE_SIZE }), function* () {
      yield* until("fd.lock", () => false);
      return 20;
    });
    const task = r.scheduler.spawn("asks", asked);
    // Nobody wakes it: the run ends it where it waits.
    expect(r.scheduler.run()).toMatchObject({ kind: "deadlock", waits: [{ task: "asks", site: "fd.lock" }] });
    expect(task.state).toBe("ended");
    expect(r.out()).toEqual(before);
  });

  it("a Promise is no fd: TypeError, and nothing is left", () => {
    const { r, good } = world();
    const before = r.out();
    const later = () => Promise.resolve(20) as never;
    const act = () => r.run(r.exporter.ioctl(CREATE, createArg({ memfd: good, offset: 0, size: PAGE_SIZE }), later));
    expect(act).toThrow(new TypeError("install returned a Promise: return a number or a generator"));
    expect(r.out()).toEqual(before);
  });
});

describe("while a buffer lives", () => {
  it("its file cannot shrink or be sealed against writing, and its pages outlive the file", () => {
    const { r, good } = world();
    const file = r.memfds.memfd(good);
    file.write(0, bytes(7));
    const buf = r.exporter.create([item(good, 0, 1)]);
    expect(refusal(() => file.truncate(0))).toBe("EPERM@fd");
    expect(refusal(() => file.addSeals(F_SEAL.WRITE))).toBe("EBUSY@fd");
    r.memfds.close(good);
    const at = r.run(r.fw.staticAttach(buf, r.nic, "nic"));
    const [run] = r.run(r.fw.mapAttachmentUnlocked(at, "from-device")).runs;
    expect(r.run(r.nic.read(run?.address as never, 8))).toMatchObject({ bytes: bytes(7) });
  });
});
