/** What userspace is told about dma-bufs: each row of the kernel's error table by its ioctl, on both IOMMUs. */
import { describe, expect, it } from "vitest";
import { FIXED_RW, MIB, ObservedWorld, PAGE, said, type Unit } from "./testing/observed-world.js";
import { U64_MAX } from "./u64.js";

const page = BigInt(PAGE);
const AT = 0x100_0000n;

/** A device that is attached, a BAR of which a MiB is exported, a memory file, and where to map. */
function world(unit: Unit) {
  const w = new ObservedWorld(unit);
  w.bind("edu");
  const ioasId = w.ioctl("IOAS_ALLOC", {}).outIoasId;
  expect(w.attach("edu", ioasId, "")).toBe("0");
  const fd = w.export([0, MIB]);
  const memfd = w.memfds.create(16 * PAGE);
  const mapFile = (values: Parameters<typeof w.mapFile>[0] = {}): string =>
    w.mapFile({ ioasId, fd, length: page, iova: AT, ...values });
  return { w, ioasId, fd, memfd, mapFile };
}

type World = ReturnType<typeof world>;

function udmabuf({ w, memfd }: World): number {
  w.memfds.memfd(memfd).addSeals(2);
  return w.install(w.udmabuf.create([{ memfd, offset: 0, sizeBytes: 16 * PAGE }]));
}

const ROWS: readonly (readonly [string, string, (t: World) => string])[] = [
  ["MAP_FILE of a udmabuf", "-EOPNOTSUPP", (t) => t.mapFile({ fd: udmabuf(t) })],
  [
    "MAP_FILE of a VFIO dma-buf of two ranges",
    "-EOPNOTSUPP",
    (t) => t.mapFile({ fd: t.w.export([0, PAGE], [MIB, PAGE]) }),
  ],
  [
    "MAP_FILE of a VFIO dma-buf while memory decode is off",
    "-ENODEV",
    (t) => {
      t.w.run(t.w.ivshmem.setMemoryEnabled(false));
      return t.mapFile();
    },
  ],
  ["MAP_FILE of an fd that is closed", "-EBADF", (t) => (t.w.memfds.close(t.memfd), t.mapFile({ fd: t.memfd }))],
  ["MAP_FILE of an eventfd", "-EINVAL", (t) => t.mapFile({ fd: t.w.memfds.openOther() })],
  ["MAP_FILE beyond the buffer's end", "-EINVAL", (t) => t.mapFile({ start: BigInt(MIB) - page, length: 2n * page })],
  ["MAP_FILE of 2^64 - 1 bytes", "-EOVERFLOW", (t) => t.mapFile({ length: U64_MAX })],
  ["MAP_FILE of nothing", "-EINVAL", (t) => t.mapFile({ length: 0n })],
  ["MAP_FILE neither to be read nor to be written", "-EINVAL", (t) => t.mapFile({ flags: 1 })],
  ["MAP_FILE over an area", "-EEXIST", (t) => (t.mapFile(), t.mapFile())],
  ["MAP_FILE into the window of the interrupts", "-EINVAL", (t) => t.mapFile({ iova: 0xfee0_0000n })],
  ["UNMAP of half an area", "-ENOENT", (t) => (t.mapFile({ length: 2n * page }), t.w.unmap(t.ioasId, AT, page))],
  ["DESTROY of an IOAS with a device", "-EBUSY", (t) => t.w.destroy(t.ioasId)],
  ["CHANGE_PROCESS with a dma-buf", "-EINVAL", (t) => (t.mapFile(), changeProcess(t))],
  ["CHANGE_PROCESS with a memory file", "0", (t) => (t.mapFile({ fd: t.memfd }), changeProcess(t))],
  [
    "CHANGE_PROCESS with memory of the process",
    "-EINVAL",
    (t) => {
      t.w.mappings.mmap(0x5000_0000n, PAGE, { file: t.w.memfds.memfd(t.memfd) });
      expect(t.w.map({ ioasId: t.ioasId, userVa: 0x5000_0000n, length: page, iova: AT })).toMatch(/^ok/);
      return changeProcess(t);
    },
  ],
  ["COPY of a dma-buf", "ok", (t) => (t.mapFile(), copy(t))],
  [
    "COPY of a dma-buf that was revoked",
    "ok",
    (t) => {
      t.mapFile();
      t.w.run(t.w.ivshmem.setMemoryEnabled(false));
      return copy(t);
    },
  ],
];

const changeProcess = ({ w }: World): string => said(() => (w.ioctl("IOAS_CHANGE_PROCESS", {}), "0"));

function copy({ w, ioasId }: World): string {
  const from = { srcIoasId: ioasId, srcIova: AT };
  const to = { dstIoasId: ioasId, dstIova: 2n * AT };
  return said(() => (w.ioctl("IOAS_COPY", { ...from, ...to, flags: FIXED_RW, length: page }), "ok"));
}

describe.each(["vt-d", "amd-vi"] as const)("%s", (unit) => {
  it.each(ROWS)("%s: %s", (_name, expected, act) => {
    const t = world(unit);
    expect(act(t)).toBe(expected);
    // Whatever was refused: when the iommufd is closed, nothing of it is left.
    t.w.run(t.w.iommufd.close());
    expect(t.w.machine.resources.read()).toMatchObject({ ioasBytes: 0, attached: 0, lockedPages: 0 });
    for (const buf of t.w.buffers) expect([buf.refs, buf.attachments.length]).toEqual([1, 0]);
  });
});
