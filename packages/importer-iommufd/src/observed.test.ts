/** What Linux 7.3.4 answered, operation by operation, and what the same operations answer here, with bytes that travel. */
import { expect, it } from "vitest";
import { OBSERVED } from "./testing/observed.js";
import { FIXED_RW, MIB, ObservedWorld, PAGE, said, type Unit } from "./testing/observed-world.js";
import { U64_MAX } from "./u64.js";

const hex = (value: bigint | undefined): string => (value ?? 0n).toString(16);
const page = BigInt(PAGE);
const BAR_BYTES = 16 * MIB;
const whole = BigInt(BAR_BYTES);
/** Where the process has mapped: memory files, and page frames without pages. */
const VA = { memfd: 0x5000_0000n, udmabuf: 0x5100_0000n, bar: 0x5200_0000n };
const RANGES = 0x6000_0000n;

/** The script of the recording. @returns each operation with its answer */
function replay(unit: Unit): [string, string][] {
  const w = new ObservedWorld(unit);
  const log: [string, string][] = [];
  const say = (operation: string, answer: string): void => void log.push([operation, answer]);

  w.bind("ivshmem");
  const ioasId = w.ioctl("IOAS_ALLOC", {}).outIoasId;
  say("IOAS_ALLOC", String(ioasId));
  const fd = w.memfds.create(MIB);
  w.memfds.memfd(fd).addSeals(2);
  const memfd = { ioasId, fd, length: 16n * page, iova: 0x10_0000n };
  say("MAP_FILE memfd fixed 0x100000", w.mapFile(memfd));
  say("MAP_FILE memfd overlap same IOVA", w.mapFile(memfd));
  say("MAP_FILE memfd overlap partial", w.mapFile({ ...memfd, iova: 0x10_f000n }));
  say("MAP_FILE memfd auto IOVA", w.mapFile({ ...memfd, flags: 6, length: page, iova: 0n }));
  say("MAP_FILE no R/W flags", w.mapFile({ ...memfd, flags: 1, iova: 0x80_0000n }));
  say("MAP_FILE bad flags 0x10", w.mapFile({ ...memfd, flags: FIXED_RW | 0x10, iova: 0x80_0000n }));
  say("MAP_FILE len 0", w.mapFile({ ...memfd, length: 0n, iova: 0x80_0000n }));
  // What only an attach refuses lies in IOASes of its own.
  const [unaligned, beyond, others] = [1, 2, 3].map(() => w.ioctl("IOAS_ALLOC", {}).outIoasId) as [
    number,
    number,
    number,
  ];
  const odd = { length: 100n, iova: 0x80_0000n };
  say("MAP_FILE len unaligned 100 (no domain yet)", w.mapFile({ ...memfd, ioasId: unaligned, ...odd }));
  const crooked = { ...memfd, length: page, iova: 0x90_0001n };
  say("MAP_FILE iova unaligned (no domain yet)", w.mapFile({ ...crooked, ioasId: unaligned }));
  const long = { ...memfd, length: 2n * BigInt(MIB), iova: 0x70_0000n };
  say("MAP_FILE beyond memfd size (lazy, no domain)", w.mapFile({ ...long, ioasId: beyond }));
  say("MAP_FILE start overflow", w.mapFile({ ...memfd, start: U64_MAX - 0xfffn, length: 2n * page, iova: 0x80_0000n }));
  say("MAP_FILE bad fd", w.mapFile({ ...memfd, fd: 99, iova: 0x80_0000n }));
  say("MAP_FILE bad ioas id", w.mapFile({ ...memfd, ioasId: 99, iova: 0x80_0000n }));
  const devNull = w.memfds.openOther();
  say(
    "MAP_FILE /dev/null (lazy, no domain)",
    w.mapFile({ ...memfd, ioasId: others, fd: devNull, length: page, iova: 0x81_0000n }),
  );
  const udmabuf = w.install(w.udmabuf.create([{ memfd: fd, offset: 0, sizeBytes: 16 * PAGE }]));
  say("MAP_FILE udmabuf fd", w.mapFile({ ...memfd, fd: udmabuf, iova: 0x100_0000n }));

  const bar = w.export([0, BAR_BYTES]);
  const onBar = { ioasId, fd: bar, length: page };
  const remap = { ...onBar, length: whole, iova: 0x200_0000n };
  say("MAP_FILE VFIO dma-buf (1 range) before attach", w.mapFile(remap));
  const two = w.export([0, PAGE], [2 * PAGE, PAGE]);
  say("MAP_FILE VFIO dma-buf 2 ranges", w.mapFile({ ...onBar, fd: two, length: 2n * page, iova: 0x600_0000n }));
  say("MAP_FILE VFIO dma-buf len > size", w.mapFile({ ...onBar, length: whole + page, iova: 0x800_0000n }));
  const slice = { ...onBar, start: 0x3000n, iova: 0x610_0000n };
  say("MAP_FILE VFIO dma-buf slice off 0x3000", w.mapFile(slice));
  say("MAP_FILE VFIO dma-buf readonly", w.mapFile({ ...onBar, flags: 5, iova: 0x620_0000n }));
  say("MAP_FILE VFIO dma-buf same IOVA", w.mapFile(remap));
  say("UNMAP partial of a mapping", w.unmap(ioasId, 0x200_0000n, page));
  say("UNMAP not mapped", w.unmap(ioasId, 0x5000_0000n, page));
  say("UNMAP len 0", w.unmap(ioasId, 0x610_0000n, 0n));
  say("UNMAP slice", w.unmap(ioasId, 0x610_0000n, page));

  say("BIND edu", `0|devid=${w.bind("edu")}`);
  w.mappings.mmap(VA.memfd, MIB, { file: w.memfds.memfd(fd) });
  w.mappings.mmap(VA.udmabuf, 16 * PAGE, { file: null });
  w.mappings.mmap(VA.bar, BAR_BYTES, { file: null });
  const ioas2 = w.ioctl("IOAS_ALLOC", {}).outIoasId;
  const atUdmabuf = { userVa: VA.udmabuf, length: 16n * page };
  say("MAP user VA of udmabuf mmap, no domain yet", w.map({ ...atUdmabuf, ioasId: ioas2, iova: 0x10_0000n }));
  say("ATTACH edu to that IOAS", w.attach("edu", ioas2, ""));
  say("DESTROY ioas2", w.destroy(ioas2));
  say("ATTACH ivshmem to IOAS with byte-aligned areas", w.attach("ivshmem", unaligned, ""));
  say("ATTACH ivshmem to IOAS with beyond-EOF memfd area", w.attach("ivshmem", beyond, ""));
  say("ATTACH ivshmem to IOAS with /dev/null area", w.attach("ivshmem", others, ""));
  for (const id of [unaligned, beyond, others]) expect(w.destroy(id)).toBe("0");
  say("ATTACH bad pt_id", w.attach("ivshmem", 99, ""));
  say("ATTACH ivshmem to IOAS (has VFIO dma-buf maps)", w.attach("ivshmem", ioasId, "pt(hwpt)"));
  say("DESTROY ioas while attached/mapped", w.destroy(ioasId));

  const bytes = new Uint8Array(16 * 8);
  const answer = w.ioctl("IOAS_IOVA_RANGES", { ioasId, numIovas: 8, allowedIovas: w.user.at(RANGES, bytes) });
  const words = new BigUint64Array(bytes.buffer);
  const shown = Array.from({ length: answer.numIovas }, (_, i) => `${hex(words[2 * i])}-${hex(words[2 * i + 1])}`);
  say("IOVA_RANGES", `0|n=${answer.numIovas} align=${answer.outIovaAlignment} ${shown.join(" ")}`);
  say("MAP_FILE memfd in reserved MSI window 0xfee00000", w.mapFile({ ...memfd, length: page, iova: 0xfee0_0000n }));
  say("MAP_FILE VFIO dma-buf after attach", w.mapFile({ ...onBar, iova: 0x630_0000n }));
  say("MAP_FILE udmabuf fd after attach", w.mapFile({ ...memfd, fd: udmabuf, iova: 0x100_0000n }));
  say("MAP_FILE len unaligned after attach", w.mapFile({ ...memfd, ...odd }));
  say("MAP_FILE iova unaligned after attach", w.mapFile(crooked));
  say("MAP_FILE beyond memfd size after attach", w.mapFile(long));
  say("MAP_FILE beyond 39-bit aperture", w.mapFile({ ...memfd, length: page, iova: 1n << 39n }));
  say("MAP user VA of udmabuf mmap after attach", w.map({ ...atUdmabuf, ioasId, iova: 0x700_0000n }));
  say("MAP user VA of VFIO BAR mmap after attach", w.map({ ioasId, userVa: VA.bar, length: page, iova: 0x701_0000n }));
  say("MAP user VA of memfd mmap after attach", w.map({ ioasId, userVa: VA.memfd, length: page, iova: 0x702_0000n }));

  say("ATTACH edu", w.attach("edu", ioasId, "pt"));
  w.memfds.memfd(fd).write(0, new Uint8Array([0xab]));
  const moved = w.dmaWrite(0x10_0000 + PAGE, w.dmaRead(0x10_0000));
  const seen = w.memfds.memfd(fd).read(PAGE, 1)[0] === 0xab;
  say("edu DMA memfd->edu->memfd", moved === "OK" && seen ? "OK (seen through udmabuf mmap too)" : "lost");
  const arrives = (iova: number, offset: number, byte: number): string =>
    w.dmaWrite(iova, byte) === "OK" && w.barByte(offset) === byte ? "OK" : "lost";
  say("edu DMA P2P into ivshmem BAR via VFIO dma-buf IOVA", arrives(0x200_0100, 0x100, 0xde));

  w.run(w.ivshmem.setMemoryEnabled(false));
  say("edu DMA to revoked IOVA", w.dmaWrite(0x200_0200, 0xad));
  say("MAP_FILE VFIO dma-buf while memory disabled", w.mapFile({ ...onBar, iova: 0x640_0000n }));
  say(
    "export while memory disabled",
    said(() => (w.export([0, PAGE]) > 0 ? "fd" : "none")),
  );
  w.run(w.ivshmem.setMemoryEnabled(true));
  const contents = [0x100, 0x200].map((offset) => w.barByte(offset).toString(16));
  say("BAR contents after re-enable: [0x100],[0x200]", contents.join(","));
  const isDead = (): boolean => w.dmaWrite(0x200_0200, 0xad) === "fault" && w.barByte(0x200) === 0;
  say("DMA via old mapping after re-enable", isDead() ? "still dead" : "alive");
  say("UNMAP revoked mapping", w.unmap(ioasId, 0x200_0000n, whole));
  say("MAP_FILE VFIO dma-buf re-map after re-enable", w.mapFile(remap));
  say("DMA after re-map", arrives(0x200_0300, 0x300, 0xbe));
  say(
    "VFIO_DEVICE_RESET ivshmem",
    said(() => (w.run(w.ivshmem.reset()), "0")),
  );
  say("DMA via mapping after RESET", isDead() ? "dead" : "alive");
  say("MAP_FILE VFIO dma-buf after RESET", w.mapFile({ ...onBar, iova: 0x650_0000n }));
  say("DETACH ivshmem", w.detach("ivshmem"));
  say("ATTACH again", w.attach("ivshmem", ioasId, ""));
  say("MAP_FILE VFIO dma-buf before close", w.mapFile({ ...onBar, iova: 0x660_0000n }));
  w.detach("ivshmem");
  w.run(w.ivshmem.close());
  say("close ivshmem device fd", "done");
  say("UNMAP of mapping after device close", w.unmap(ioasId, 0x660_0000n, page));
  say("MAP_FILE VFIO dma-buf after device close", w.mapFile({ ...onBar, iova: 0x670_0000n }));
  say("lseek END after device close", String(w.bufferOf(bar).sizeBytes));
  say("UNMAP all", w.unmap(ioasId, 0n, U64_MAX));
  say("DETACH edu", w.detach("edu"));
  say("DESTROY ioas", w.destroy(ioasId));
  expect(w.machine.resources.read()).toMatchObject({ ioasBytes: 0, attached: 0, lockedPages: 0, memfdPins: 16 });
  return log;
}

it.each(["vt-d", "amd-vi"] as const)("%s: as Linux 7.3.4 answered", (unit) => {
  const column = unit === "vt-d" ? 1 : 2;
  expect(replay(unit)).toEqual(OBSERVED.map((row) => [row[0], row[column] ?? row[1]]));
});
