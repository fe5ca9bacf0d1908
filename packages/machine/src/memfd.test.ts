import { refusal } from "@dma-buf/config/refusal";
import { addr, type PhysAddr } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { RamRange } from "./physical.js";
import { F_SEAL, type FolioRange, MachineMemfds, POISON_BYTE } from "./index.js";
import { bytes, type Rig, rig } from "./testing.js";

const PAGE = 4096;
const HUGE = 2 ** 21;

function world(options: { ram?: RamRange } = {}) {
  const r = rig();
  const memfds = new MachineMemfds(r.machine, options);
  const file = (sizeBytes: number, pageBytes = PAGE) => memfds.memfd(memfds.create(sizeBytes, { pageBytes }));
  return { r, memfds, file };
}

/** What it answers; after a refusal nothing is out that was not. */
function answer({ machine }: Rig, act: () => unknown): string {
  const before = machine.resources.read();
  const said = refusal(act);
  if (said !== "ok") expect(machine.resources.read()).toEqual(before);
  return said;
}

describe("pages", () => {
  it("are zero, scattered, allocated when touched, and given back with the last reference", () => {
    const { r, memfds } = world();
    const fd = memfds.create(3 * PAGE);
    const file = memfds.memfd(fd);
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
    expect(file.read(PAGE - 4, 8)).toEqual(bytes(0));
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 2 });
    const [a, b] = file.ranges(0, 2 * PAGE).map((range): number => range.physical) as [number, number];
    expect(b).not.toBe(a + PAGE);
    file.hold();
    memfds.close(fd);
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 2 });
    file.release();
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
  });

  it.each([[HUGE], [2 ** 30]])("huge ones of %i bytes are aligned and in a row", (pageBytes) => {
    const file = world().file(pageBytes, pageBytes);
    const [range, ...rest] = file.ranges(PAGE, pageBytes - PAGE);
    expect([range?.sizeBytes, ((range?.physical ?? 0) - PAGE) % pageBytes, rest.length]).toEqual([
      pageBytes - PAGE,
      0,
      0,
    ]);
    expect(file.kind).toBe("hugetlb");
  });

  it("lie apart from page tables and bounce buffers", () => {
    const { r, file } = world();
    const [{ physical }] = file(PAGE).ranges(0, PAGE) as readonly [FolioRange];
    expect(physical).toBeGreaterThanOrEqual(0x2000_0000 + 4 * 2 ** 20);
    expect(r.machine.memory.isRam(physical)).toBe(true);
  });

  it("ENOMEM when none is left; a page of another file has no bytes of its last owner", () => {
    const { r, memfds } = world({ ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: 3 * PAGE } });
    const fd = memfds.create(3 * PAGE);
    memfds.memfd(fd).write(0, bytes(7, 3 * PAGE));
    const other = memfds.memfd(memfds.create(PAGE));
    expect(answer(r, () => other.read(0, 8))).toBe("ENOMEM@export");
    const [{ physical }] = memfds.memfd(fd).ranges(0, PAGE) as readonly [FolioRange];
    memfds.close(fd);
    expect(r.machine.memory.read(physical, 8)).toEqual(bytes(POISON_BYTE));
    expect(other.read(0, 8)).toEqual(bytes(0));
    expect(answer(r, () => memfds.memfd(memfds.create(HUGE, { pageBytes: HUGE })).read(0, 1))).toBe("ENOMEM@export");
  });

  it.each([
    [0, 0],
    [2 * PAGE, 1],
    [PAGE, PAGE + 1],
    [-1, 2],
  ])("[%i, +%i) of two pages is EINVAL", (offset, sizeBytes) => {
    const { r, file } = world();
    const two = file(2 * PAGE);
    for (const act of [two.ranges.bind(two), two.pinFolios.bind(two)])
      expect(answer(r, () => act(offset, sizeBytes))).toBe("EINVAL@export");
  });

  it.each([0, 2048, 3 * PAGE])("a page of %i bytes is EINVAL", (pageBytes) => {
    const { r, memfds } = world();
    expect(answer(r, () => memfds.create(PAGE, { pageBytes }))).toBe("EINVAL@fd");
  });
});

it("a huge page that would end beyond the RAM is not handed out", () => {
  const { r, file } = world({ ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: HUGE + HUGE / 2 } });
  expect(file(HUGE, HUGE).read(0, 8)).toEqual(bytes(0));
  expect(answer(r, () => file(HUGE, HUGE).read(0, 8))).toBe("ENOMEM@export");
});

describe("seals, as seen on Linux 7.3.4", () => {
  it("are added and stay; SEAL forbids more; unknown bits are EINVAL", () => {
    const { r, file, memfds } = world();
    const one = file(PAGE);
    one.addSeals(F_SEAL.SHRINK);
    one.addSeals(F_SEAL.SEAL);
    expect(one.seals).toBe(F_SEAL.SHRINK | F_SEAL.SEAL);
    expect(answer(r, () => one.addSeals(F_SEAL.GROW))).toBe("EPERM@fd");
    expect(answer(r, () => file(PAGE).addSeals(0x40))).toBe("EINVAL@fd");
    expect(memfds.memfd(memfds.create(PAGE, { allowSealing: false })).seals).toBe(F_SEAL.SEAL);
  });

  it("shrinking and growing are EPERM where sealed, and huge pages are not cut", () => {
    const { r, file } = world();
    const one = file(2 * PAGE);
    one.write(PAGE, bytes(1));
    one.truncate(3 * PAGE);
    one.truncate(PAGE);
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
    one.addSeals(F_SEAL.SHRINK | F_SEAL.GROW);
    for (const size of [0, 2 * PAGE]) expect(answer(r, () => one.truncate(size))).toBe("EPERM@fd");
    one.truncate(PAGE);
    expect(answer(r, () => file(HUGE, HUGE).truncate(PAGE))).toBe("EINVAL@fd");
  });

  it.each([F_SEAL.WRITE, F_SEAL.FUTURE_WRITE])("seal %i: writing and mapping for it are EPERM", (seal) => {
    const { r, file } = world();
    const one = file(PAGE);
    one.addSeals(seal);
    expect(answer(r, () => one.write(0, bytes(1)))).toBe("EPERM@fd");
    expect(answer(r, () => one.mapShared())).toBe("EPERM@fd");
    expect(one.read(0, 8)).toEqual(bytes(0));
  });

  it("F_SEAL_WRITE is EBUSY while somebody may write: a mapping, a pin, who follows", () => {
    const { r, file } = world();
    const one = file(PAGE);
    const writable = one.mapShared();
    expect(answer(r, () => one.addSeals(F_SEAL.WRITE))).toBe("EBUSY@fd");
    one.addSeals(F_SEAL.FUTURE_WRITE);
    writable[Symbol.dispose]();
    const pin = one.pinFolios(0, PAGE);
    expect(answer(r, () => one.addSeals(F_SEAL.WRITE))).toBe("EBUSY@fd");
    pin.unpin();
    const following = one.follow(0, PAGE, function* () {
      return { [Symbol.dispose]() {} };
    });
    expect(answer(r, () => one.addSeals(F_SEAL.WRITE))).toBe("EBUSY@fd");
    following[Symbol.dispose]();
    one.addSeals(F_SEAL.WRITE);
    // It is there already: who pins now was not asked.
    const late = one.pinFolios(0, PAGE);
    one.addSeals(F_SEAL.WRITE | F_SEAL.GROW);
    late.unpin();
  });
});

describe("pins", () => {
  it("are counted, and a page that left the file is given back with its last", () => {
    const { r, file } = world();
    const one = file(2 * PAGE);
    const pins = [one.pinFolios(0, 2 * PAGE), one.pinFolios(0, PAGE)];
    expect(r.machine.resources.read()).toMatchObject({ memfdPins: 3, memfdFrames: 2 });
    one.truncate(0);
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 2 });
    pins[0]?.unpin();
    expect(r.machine.resources.read()).toMatchObject({ memfdPins: 1, memfdFrames: 1 });
    pins[1]?.unpin();
    expect(r.machine.resources.read()).toMatchObject({ memfdPins: 0, memfdFrames: 0 });
  });
});

describe("a page moves", () => {
  it("with its bytes, and the old frame is poison", () => {
    const { r, file } = world();
    const one = file(HUGE, HUGE);
    one.write(HUGE - 8, bytes(7));
    const [{ physical }] = one.ranges(0, HUGE) as readonly [FolioRange];
    const before = r.machine.resources.read();
    r.run(one.migrate(3));
    expect(one.read(HUGE - 8, 8)).toEqual(bytes(7));
    expect(r.machine.memory.read(physical + HUGE - 8, 8)).toEqual(bytes(POISON_BYTE));
    expect(one.ranges(0, HUGE)[0]?.physical).not.toBe(physical);
    expect(r.machine.resources.read()).toEqual(before);
  });

  it("EBUSY when pinned, EINVAL when never touched, ENOMEM without a frame: it is where it was", () => {
    const { r, file } = world({ ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: PAGE } });
    const one = file(2 * PAGE);
    one.write(0, bytes(7));
    expect(answer(r, () => r.run(one.migrate(1)))).toBe("EINVAL@pin");
    expect(answer(r, () => r.run(one.migrate(0)))).toBe("ENOMEM@export");
    const pin = one.pinFolios(0, PAGE);
    expect(answer(r, () => r.run(one.migrate(0)))).toBe("EBUSY@pin");
    pin.unpin();
    expect(one.read(0, 8)).toEqual(bytes(7));
  });

  it("who follows it lets go before and is told after, once, and only of pages that it follows", () => {
    const { r, file } = world();
    const one = file(3 * PAGE);
    one.write(0, bytes(7, 3 * PAGE));
    const log: string[] = [];
    const leave = function* (pgoff: number) {
      log.push(`leave ${pgoff} ${one.read(pgoff * PAGE, 1)[0]}`);
      const was = one.ranges(pgoff * PAGE, 1)[0]?.physical;
      return { [Symbol.dispose]: () => void log.push(`moved ${one.ranges(pgoff * PAGE, 1)[0]?.physical !== was}`) };
    };
    const follows = [one.follow(0, PAGE, leave), one.follow(0, 2 * PAGE, leave)];
    for (const page of [0, 1, 2]) r.run(one.migrate(page));
    expect(log).toEqual(["leave 0 7", "moved true", "leave 1 7", "moved true"]);
    for (const one_ of follows) one_[Symbol.dispose]();
    r.run(one.migrate(0));
    expect(log).toHaveLength(4);
  });

  it("one who does not let go keeps it, and those before are told; pinned or replaced meanwhile, it stays too", () => {
    const { r, file } = world();
    const one = file(PAGE);
    one.write(0, bytes(7));
    let told = 0;
    let then = (): void => void one.pinFolios(0, PAGE);
    one.follow(0, PAGE, function* () {
      return { [Symbol.dispose]: () => void told++ };
    });
    one.follow(0, PAGE, function* () {
      then();
      return { [Symbol.dispose]: () => void told++ };
    });
    expect(refusal(() => r.run(one.migrate(0)))).toBe("EBUSY@pin");
    expect([told, r.machine.resources.read()["memfdFrames"]]).toEqual([2, 1]);
    const other = file(PAGE);
    other.write(0, bytes(8));
    other.follow(0, PAGE, function* () {
      other.truncate(0);
      other.truncate(PAGE);
      other.write(0, bytes(9));
      return { [Symbol.dispose]() {} };
    });
    expect(refusal(() => r.run(other.migrate(0)))).toBe("EAGAIN@pin");
    expect(other.read(0, 8)).toEqual(bytes(9));
    then = () => {};
  });

  it("one at a time", () => {
    const { r, file } = world();
    const one = file(2 * PAGE);
    one.write(0, bytes(7, 2 * PAGE));
    let inside = 0;
    let most = 0;
    one.follow(0, 2 * PAGE, function* () {
      most = Math.max(most, ++inside);
      yield { site: "test", ready: null };
      return { [Symbol.dispose]: () => void inside-- };
    });
    for (const page of [0, 1]) r.scheduler.spawn(`move ${page}`, one.migrate(page));
    r.scheduler.run();
    expect([inside, most]).toEqual([0, 1]);
  });
});

describe("files and the kernel's mapping", () => {
  it("fds are lowest first; what is no memory file is EBADF", () => {
    const { r, memfds } = world();
    const [a, b] = [memfds.create(PAGE), memfds.openOther()];
    expect([a, b, memfds.file(b), memfds.file(99)]).toEqual([3, 4, { kind: "other" }, null]);
    expect(answer(r, () => memfds.memfd(b))).toBe("EBADF@fd");
    expect(answer(r, () => memfds.memfd(99))).toBe("EBADF@fd");
    memfds.close(a);
    memfds.close(b);
    expect(memfds.openOther()).toBe(3);
  });

  it("vmap shows ranges in a row, until vunmap; what cannot be mapped leaves nothing", () => {
    const { r, memfds, file } = world();
    const one = file(2 * PAGE);
    one.write(PAGE, bytes(5));
    const at = memfds.vmap(one.ranges(0, 2 * PAGE));
    expect(r.run(memfds.kernel.read(at + PAGE, 8))).toMatchObject({ bytes: bytes(5) });
    expect(r.machine.resources.read()).toMatchObject({ kernelMappings: 1 });
    expect(answer(r, () => memfds.vmap([...one.ranges(0, PAGE), { physical: addr(0x1001), sizeBytes: PAGE }]))).toBe(
      "ENXIO@map",
    );
    memfds.vunmap(at);
    expect(answer(r, () => memfds.vunmap(at))).toBe("EINVAL@fd");
    expect(r.machine.resources.read()).toMatchObject({ kernelMappings: 0 });
  });

  it("the misc device maps what it is given and does no DMA", () => {
    const { r, memfds } = world();
    const address = memfds.misc.dma.mapPhys(addr(0x3000_0000), PAGE, "bidirectional", { mmio: false });
    expect([address, r.machine.resources.read()["dmaMappings"]]).toEqual([0x3000_0000, 1]);
    expect([r.run(memfds.misc.read()).kind, r.run(memfds.misc.write()).kind]).toEqual(["lost", "lost"]);
  });
});
