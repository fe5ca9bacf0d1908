import { refusal } from "@dma-buf/config/refusal";
import { addr, DmaBufError, explore, type PhysAddr, point, Scheduler, until } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { RamRange } from "./physical.js";
import { F_SEAL, type FolioRange, MachineMemfds, type PageFollower, POISON_BYTE } from "./index.js";
import { bytes, type Rig, rig } from "./testing.js";

const PAGE = 4096;
const HUGE = 2 ** 21;

function world(options: { ram?: RamRange } = {}, scheduler = new Scheduler()) {
  const r = rig({ scheduler });
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
    [0, -1],
    [NaN, 1],
  ])("[%i, +%i) of two pages is EINVAL", (offset, sizeBytes) => {
    const { r, file } = world();
    const two = file(2 * PAGE);
    for (const act of [two.ranges.bind(two), two.pinFolios.bind(two), two.read.bind(two)])
      expect(answer(r, () => act(offset, sizeBytes))).toBe("EINVAL@export");
  });

  it.each([0, 2048, 3 * PAGE])("a page of %i bytes is EINVAL", (pageBytes) => {
    const { r, memfds } = world();
    expect(answer(r, () => memfds.create(PAGE, { pageBytes }))).toBe("EINVAL@fd");
  });
});

it("frames begin at a page", () => {
  expect(() => world({ ram: { base: addr<PhysAddr>(0x3000_0001), sizeBytes: PAGE } })).toThrow(RangeError);
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

  it("EXEC brings those against shrinking, growing and writing, for the files are executable", () => {
    const { r, file } = world();
    const one = file(PAGE);
    const writable = one.mapShared();
    expect(answer(r, () => one.addSeals(F_SEAL.EXEC))).toBe("EBUSY@fd");
    expect(one.seals).toBe(0);
    writable[Symbol.dispose]();
    one.addSeals(F_SEAL.EXEC);
    expect(one.seals).toBe(F_SEAL.EXEC | F_SEAL.SHRINK | F_SEAL.GROW | F_SEAL.WRITE | F_SEAL.FUTURE_WRITE);
  });

  it.each([-1, -PAGE, 0.5, NaN, Infinity, 2 ** 53])("a file of %d bytes is EINVAL", (size) => {
    const { r, file, memfds } = world();
    const one = file(PAGE);
    expect(answer(r, () => one.truncate(size))).toBe("EINVAL@fd");
    expect(one.sizeBytes).toBe(PAGE);
    expect(answer(r, () => memfds.create(size))).toBe("EINVAL@fd");
    expect(memfds.openOther()).toBe(4);
  });

  it("what lay beyond the end is zero when the file grows again", () => {
    const one = world().file(2 * PAGE);
    one.write(0, bytes(7, 2 * PAGE));
    one.truncate(100);
    one.truncate(2 * PAGE);
    expect(one.read(92, 16)).toEqual(new Uint8Array([...bytes(7), ...bytes(0)]));
    expect(one.read(PAGE, 8)).toEqual(bytes(0));
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
    const following = one.follow(0, PAGE, lets());
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

/** Lets go, doing `leave` first; it is held until `moved`. */
function lets(leave: () => void = () => {}, moved: () => void = () => {}): PageFollower {
  return {
    *leave() {
      leave();
    },
    hold: () => ({ [Symbol.dispose]: moved }),
  };
}

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

  it("who follows it lets go before and is held until after, once, and only of pages that it follows", () => {
    const { r, file } = world();
    const one = file(3 * PAGE);
    one.write(0, bytes(7, 3 * PAGE));
    const log: string[] = [];
    const where = () => one.ranges(0, 3 * PAGE).map((range) => range.physical);
    let was = where();
    const follower = lets(
      () => void log.push(`leave ${one.read(0, 1)[0]}`),
      () => void log.push(`moved ${where().findIndex((at, page) => at !== was[page])}`),
    );
    const follows = [
      one.follow(0, PAGE, follower),
      one.follow(0, 2 * PAGE, follower),
      one.follow(
        2 * PAGE,
        PAGE,
        lets(() => void log.push("the last page's")),
      ),
    ];
    for (const page of [0, 1, 2]) {
      was = where();
      r.run(one.migrate(page));
    }
    expect(log).toEqual(["leave 7", "moved 0", "leave 7", "moved 1", "the last page's"]);
    for (const following of follows) following[Symbol.dispose]();
    r.run(one.migrate(0));
    expect(log).toHaveLength(5);
  });

  it("who follows it keeps the file", () => {
    const { r, memfds } = world();
    const fd = memfds.create(PAGE);
    const following = memfds.memfd(fd).follow(0, PAGE, lets());
    memfds.close(fd);
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 1 });
    following[Symbol.dispose]();
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 0 });
  });

  it("one who refuses to let go keeps it, and nobody is held", () => {
    const { r, file } = world();
    const one = file(PAGE);
    one.write(0, bytes(7));
    let held = 0;
    one.follow(0, PAGE, { ...lets(), hold: () => (held++, { [Symbol.dispose]: () => void held-- }) });
    const refuses = () => {
      throw new DmaBufError("EBUSY", { op: "leave", stage: "pin", message: "pinned: unpin it first" });
    };
    one.follow(0, PAGE, lets(refuses));
    expect(answer(r, () => r.run(one.migrate(0)))).toBe("EBUSY@pin");
    expect([held, one.read(0, 8)]).toEqual([0, bytes(7)]);
  });

  it("one who is back when all are to be held leaves again, and so do all; EAGAIN when it is back each time", () => {
    const { r, file } = world();
    const one = file(PAGE);
    one.write(0, bytes(7));
    const left = [0, 0];
    let held = 0;
    let back = 2;
    const hold = () => (held++, { [Symbol.dispose]: () => void held-- });
    one.follow(0, PAGE, { ...lets(() => void (left[0] = (left[0] ?? 0) + 1)), hold });
    one.follow(0, PAGE, {
      ...lets(() => void (left[1] = (left[1] ?? 0) + 1)),
      hold: () => (back-- > 0 ? null : hold()),
    });
    const [was] = one.ranges(0, PAGE);
    r.run(one.migrate(0));
    expect([left, held]).toEqual([[3, 3], 0]);
    const [now] = one.ranges(0, PAGE);
    expect(now).not.toEqual(was);
    back = Infinity;
    expect(answer(r, () => r.run(one.migrate(0)))).toBe("EAGAIN@pin");
    expect([left, held, one.ranges(0, PAGE)[0]]).toEqual([[13, 13], 0, now]);
  });

  it("pinned or replaced while somebody leaves, it stays", () => {
    const { r, file } = world();
    const pinned = file(PAGE);
    pinned.write(0, bytes(7));
    pinned.follow(
      0,
      PAGE,
      lets(() => void pinned.pinFolios(0, PAGE)),
    );
    expect(refusal(() => r.run(pinned.migrate(0)))).toBe("EBUSY@pin");
    expect(r.machine.resources.read()).toMatchObject({ memfdFrames: 1, memfdPins: 1 });
    const other = file(PAGE);
    other.write(0, bytes(8));
    const replace = () => {
      other.truncate(0);
      other.truncate(PAGE);
      other.write(0, bytes(9));
    };
    other.follow(0, PAGE, lets(replace));
    expect(answer(r, () => r.run(other.migrate(0)))).toBe("EAGAIN@pin");
    expect(other.read(0, 8)).toEqual(bytes(9));
  });

  it("one at a time, in every order", () => {
    const most = (scheduler: Scheduler): number => {
      const { file } = world({}, scheduler);
      const one = file(2 * PAGE);
      one.write(0, bytes(7, 2 * PAGE));
      let inside = 0;
      let max = 0;
      one.follow(0, 2 * PAGE, {
        *leave() {
          max = Math.max(max, ++inside);
          yield* point("leaving");
        },
        hold: () => ({ [Symbol.dispose]: () => void inside-- }),
      });
      for (const page of [0, 1]) scheduler.spawn(`move ${page}`, one.migrate(page));
      scheduler.run();
      return max + inside;
    };
    const found = explore(most, { badness: (n) => n });
    expect([found.kind, found.worst.result]).toEqual(["exhausted", 1]);
  });

  it("who waits for the move of a page is told which page of which file", () => {
    const { r, file } = world();
    const [one, other] = [file(2 * PAGE), file(PAGE)];
    for (const each of [one, other]) each.write(0, bytes(7));
    one.write(PAGE, bytes(7));
    one.follow(PAGE, PAGE, {
      ...lets(),
      *leave() {
        yield* until("follower", () => false);
      },
    });
    r.scheduler.spawn("first", one.migrate(1));
    r.scheduler.spawn("second", other.migrate(0));
    expect(r.scheduler.run()).toMatchObject({
      waits: [
        { task: "first", site: "follower" },
        { task: "second", site: "memfd.compact", blockedOn: "the move of page 1 of memory file 3" },
      ],
    });
    // The one that was ended is in nobody's way.
    r.run(other.migrate(0));
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
