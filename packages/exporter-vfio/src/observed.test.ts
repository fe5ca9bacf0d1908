/**
 * What Linux 7.3.4 answered, booted with an ivshmem device (BAR 0 of 256 bytes, BAR 2 of 16 MiB) and an edu
 * device as the peer, each row by the name under which it was recorded.
 */
import {
  addr,
  annotatedAddress,
  type DmaBuf,
  DmaBufError,
  type ErrnoName,
  type Op,
  type PhysAddr,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import * as annotatedAddressVariant from "./annotated-address.js";
import { encodeDmaBufFeature, VFIO_DEVICE_FEATURE_FLAG } from "./feature-layout.js";
import { IOMMUFD_MAP, type IommufdMap } from "./iommufd.js";
import { vfioExporter } from "./linux-7.3.js";
import { fakeHost, kit, PAGE, TestImporter } from "./testing.js";

const MIB = 2 ** 20;
const { GET, SET, PROBE } = VFIO_DEVICE_FEATURE_FLAG;
const whole = { regionIndex: 2, openFlags: 0, ranges: [{ offset: 0, length: 16 * MIB }] };

function ivshmem(options = { asPosted: true }) {
  const host = fakeHost("0000:01:00.0");
  const bars = [
    { physical: addr<PhysAddr>(0xfea0_0000), sizeBytes: 256 },
    null,
    { physical: addr<PhysAddr>(0x80_0000_0000), sizeBytes: 16 * MIB },
  ];
  const peers = fakeHost();
  const k = kit(vfioExporter, {
    host: Object.assign(host, { region: (i: number) => bars[i] ?? null, provider: () => peers.provider(0) }),
    options,
  });
  return { ...k, ioctl: (arg: Uint8Array) => k.run(value(k.exporter.deviceFeature(arg, () => 47))) };
}

/** The ioctl's answer: an fd, or a negative errno by name. */
function* value(op: Op<number>): Op<number | string> {
  try {
    return yield* op;
  } catch (error) {
    if (error instanceof DmaBufError) return `-${error.code}`;
    throw error;
  }
}

/** The request's bytes with one word changed. */
function patched(at: number, word: number, request = whole): Uint8Array {
  const arg = encodeDmaBufFeature(request);
  new DataView(arg.buffer).setUint32(at, word, true);
  return arg;
}
const ranges = (...list: [number | bigint, number | bigint][]): Uint8Array =>
  encodeDmaBufFeature({ ...whole, ranges: list.map(([offset, length]) => ({ offset, length })) });
const region = (regionIndex: number): Uint8Array => encodeDmaBufFeature({ ...whole, regionIndex });
const flags = (openFlags: number): Uint8Array => encodeDmaBufFeature({ ...whole, openFlags });

describe("the device feature", () => {
  it.each<[string, Uint8Array, number | `-${ErrnoName}`]>([
    ["FEATURE PROBE|GET|DMA_BUF", encodeDmaBufFeature(whole, PROBE | GET), 0],
    ["FEATURE PROBE|SET|DMA_BUF", encodeDmaBufFeature(whole, PROBE | SET), "-EINVAL"],
    ["DMA_BUF SET", encodeDmaBufFeature(whole, SET), "-EINVAL"],
    ["DMA_BUF no GET/SET", encodeDmaBufFeature(whole, 0), "-EINVAL"],
    ["DMA_BUF GET whole BAR", encodeDmaBufFeature(whole), 47],
    ["DMA_BUF GET 2 ranges", ranges([0, PAGE], [2 * PAGE, PAGE]), 47],
    ["DMA_BUF GET overlapping ranges", ranges([0, 2 * PAGE], [PAGE, 2 * PAGE]), 47],
    ["nr_ranges 0", patched(20, 0), "-EINVAL"],
    ["length 100", ranges([0, 100]), "-EINVAL"],
    ["length 0", ranges([0, 0]), "-EINVAL"],
    ["offset 100", ranges([100, PAGE]), "-EINVAL"],
    ["offset = BAR size", ranges([16 * MIB, PAGE]), "-EINVAL"],
    ["offset+len > BAR", ranges([8 * MIB, 16 * MIB]), "-EINVAL"],
    ["offset overflow 2^64-4096", ranges([2n ** 64n - 4096n, PAGE]), "-EOVERFLOW"],
    ["len 2^63", ranges([0, 2n ** 63n]), "-EINVAL"],
    ["sum of lens overflow", ranges([0, 2n ** 63n], [0, 2n ** 63n]), "-EINVAL"],
    ["flags 1", patched(16, 1), "-EINVAL"],
    ["region 6 (ROM)", region(6), "-ENODEV"],
    ["region 7 (CONFIG)", region(7), "-ENODEV"],
    ["region 9", region(9), "-ENODEV"],
    ["absent BAR 5", region(5), "-ENODEV"],
    ["region 0xffffffff", region(0xffff_ffff), "-ENODEV"],
    ["open_flags O_RDONLY", flags(0), 47],
    ["open_flags bad 0x40 (O_CREAT)", flags(0x40), 47],
    ["open_flags O_NONBLOCK 0x800", flags(0x800), 47],
    ["open_flags 0x80000000", flags(0x8000_0000), 47],
    ["argsz too small (8)", patched(0, 8), "-EINVAL"],
    ["argsz 24 (header only, nr 1)", patched(0, 24), 47],
    ["nr_ranges huge 0x10000000", patched(20, 0x1000_0000), "-ENOMEM"],
    ["nr_ranges 0xffffffff", patched(20, 0xffff_ffff), "-ENOMEM"],
    [
      "ivshmem BAR0 (256 B) export",
      encodeDmaBufFeature({ ...whole, regionIndex: 0, ranges: [{ offset: 0, length: 256 }] }),
      "-EINVAL",
    ],
  ])("%s", (_name, arg, expected) => {
    const k = ivshmem();
    const before = k.counts();
    expect(k.ioctl(arg)).toBe(expected);
    const made = expected === 47 ? { buffers: 1, references: 1, registrations: 1 } : {};
    expect(k.counts()).toEqual({ ...before, ...made });
  });

  it("mmap VFIO dma-buf: -EINVAL; SYNC START RW and END RW: 0", () => {
    const k = ivshmem();
    const buf = k.run(k.exporter.export(whole));
    const before = k.counts();
    expect(k.answer(k.fw.mmapFile(buf, { pgoff: 0, pages: 1, buf: null, fault: null }))).toBe("EINVAL@mmap");
    expect(k.answer(k.fw.vmapBufferUnlocked(buf))).toMatch(/^EINVAL@/);
    expect(k.answer(k.fw.beginAccess(buf, "bidirectional"))).toBe("ok");
    expect(k.answer(k.fw.endAccess(buf, "bidirectional"))).toBe("ok");
    expect(k.counts()).toEqual(before);
  });
});

describe("an importer by the private agreement, as iommufd is", () => {
  /** MAP_FILE: attach with a device that is nobody's, ask for the range, give it up in the callback. */
  function mapFile(k: ReturnType<typeof ivshmem>, buf: DmaBuf) {
    const importer = new TestImporter(k.fw, "iommufd");
    const op = function* (): Op<string> {
      const at = yield* importer.attach(buf, k.peer.device);
      using held = yield* at.buf.resv.lock();
      const hook = at.buf.ops.interfaces?.get(IOMMUFD_MAP) as IommufdMap;
      return `mapped ${hook(at, held).sizeBytes}`;
    };
    // Who is refused stays attached.
    return k.outcome(op());
  }

  it("before, while and after the memory is disabled, reset, and after the close", () => {
    const k = ivshmem();
    const buf = k.run(k.exporter.export(whole));
    const answers: Record<string, string> = {};
    const seen = (name: string): void => void (answers[name] = mapFile(k, buf));
    seen("MAP_FILE VFIO dma-buf (1 range)");
    k.run(k.exporter.setMemoryEnabled(false));
    seen("MAP_FILE VFIO dma-buf while memory disabled");
    const born = k.run(k.exporter.export(whole));
    answers["export while memory disabled, MAP_FILE of it"] = mapFile(k, born);
    k.run(k.exporter.setMemoryEnabled(true));
    seen("MAP_FILE VFIO dma-buf re-map after re-enable");
    answers["and of what was exported meanwhile"] = mapFile(k, born);
    k.run(k.exporter.reset());
    seen("MAP_FILE VFIO dma-buf after RESET");
    k.run(k.exporter.close());
    seen("MAP_FILE VFIO dma-buf after device close");
    expect(answers).toEqual({
      "MAP_FILE VFIO dma-buf (1 range)": "ok",
      "MAP_FILE VFIO dma-buf while memory disabled": "ENODEV@attach",
      "export while memory disabled, MAP_FILE of it": "ENODEV@attach",
      "MAP_FILE VFIO dma-buf re-map after re-enable": "ok",
      "and of what was exported meanwhile": "ok",
      "MAP_FILE VFIO dma-buf after RESET": "ok",
      "MAP_FILE VFIO dma-buf after device close": "ENODEV@attach",
    });
  });

  it("MAP_FILE VFIO dma-buf 2 ranges: -EOPNOTSUPP", () => {
    const k = ivshmem();
    const two = { ...whole, ranges: [0, 2].map((page) => ({ offset: page * PAGE, length: PAGE })) };
    expect(mapFile(k, k.run(k.exporter.export(two)))).toBe("EOPNOTSUPP@map");
  });

  it("lseek END after device close: the size is still told", () => {
    const k = ivshmem();
    const buf = k.run(k.exporter.export(whole));
    k.run(k.exporter.close());
    expect(buf.sizeBytes).toBe(16777216);
  });
});

describe("born revoked", () => {
  it.each([
    ["decoding off", { memoryEnabled: false }],
    ["D3hot", { powerState: "D3hot" }],
  ] as const)("%s: an fd, refused until the memory is there", (_name, state) => {
    const k = kit(annotatedAddressVariant.vfioExporter, { contract: annotatedAddress });
    Object.assign(k.host, state);
    const buf = k.run(k.exporter.export({ regionIndex: 0, ranges: [{ offset: 0, length: PAGE }] }));
    const importer = new TestImporter(k.fw);
    const at = k.run(importer.attach(buf, null));
    expect(k.answer(importer.map(at))).toBe("ENODEV@map");
    Object.assign(k.host, { memoryEnabled: true, powerState: "D0" });
    k.run(k.exporter.restore());
    expect(k.answer(importer.map(at))).toBe("ok");
  });
});
