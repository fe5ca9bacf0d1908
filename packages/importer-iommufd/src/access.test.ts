/** Access objects: the kernel suite's tests by their names, and what each is refused with. */
import { type Op, until } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { Access, AccessOps } from "./access.js";
import type { Ioas } from "./ioas.js";
import { machineWorld, MAP, type MachineWorld, PAGE, pattern } from "./testing/machine-world.js";

const VA = 0x7f00_0000_0000n;
const IOVA = 0x10_0000_0000n;
const LENGTH = BigInt(8 * PAGE);

interface Rig extends MachineWorld {
  readonly ioas: Ioas;
  readonly access: Access;
  readonly file: {
    read(offset: number, sizeBytes: number): Uint8Array;
    write(offset: number, bytes: Uint8Array): void;
  };
  readonly locked: () => number;
}

function rig(ops: AccessOps = { needsPinPages: true }): Rig {
  const w = machineWorld("linux-7.3");
  const file = w.memfds.memfd(w.memfds.create(8 * PAGE));
  w.user.mmap(VA, 8 * PAGE, { file });
  const ioas = w.iommufd.createIoas();
  w.run(ioas.map({ flags: MAP.FIXED_RW, iova: IOVA, length: LENGTH, userVa: VA }));
  const access = w.iommufd.createAccess(ops);
  w.run(access.attach(ioas));
  return { ...w, ioas, access, file, locked: () => w.user.lockedPages };
}

const READ = { write: false };
const WRITE = { write: true };

it("access_pin: across domains that come and go", () => {
  const r = rig();
  const [page] = r.run(r.access.pinPages(IOVA + 0x1000n, 0x1000n, WRITE));
  expect(r.locked()).toBe(1);
  const hwpt = r.run(r.ioas.allocHwpt(r.nic));
  expect(r.locked()).toBe(8);
  r.file.write(PAGE, pattern(3));
  expect(r.machine.memory.read(page?.physical as never, 16)).toEqual(pattern(3));
  r.run(r.iommufd.objects.destroy(r.iommufd.objects.idOf(hwpt)));
  expect(r.locked()).toBe(1);
  r.run(r.access.unpinPages(IOVA + 0x1000n, 0x1000n));
  expect(r.locked()).toBe(0);
});

it("access_domain_destory: pins outlive the domain, and can be made again", () => {
  const r = rig();
  const bound = r.iommufd.bind(r.nic);
  r.run(bound.attach(r.ioas));
  r.run(r.access.pinPages(IOVA, LENGTH, WRITE));
  r.run(bound.detach());
  expect(r.locked()).toBe(8);
  r.run(r.access.unpinPages(IOVA, LENGTH));
  expect(r.locked()).toBe(0);
});

it("access_pin_unmap: the callback is called with the whole area; then the area goes", () => {
  const told: unknown[] = [];
  const r: Rig = rig({
    needsPinPages: true,
    *unmap(iova, length): Op<void> {
      told.push([iova, length]);
      yield* r.access.unpinPages(IOVA + 0x2000n, 0x1000n);
    },
  });
  r.run(r.access.pinPages(IOVA + 0x2000n, 0x1000n, WRITE));
  expect(r.run(r.ioas.unmap(IOVA, LENGTH))).toBe(LENGTH);
  expect([told, r.locked(), r.ioas.space.areaCount]).toEqual([[[IOVA, LENGTH]], 0, 0]);
});

it("who keeps its pins: EDEADLK after 100 tries, a warning, and nobody new may pin there", () => {
  let tries = 0;
  const r = rig({ needsPinPages: true, unmap: () => void tries++ });
  r.run(r.access.pinPages(IOVA, 0x1000n, READ));
  expect(r.answer(r.ioas.unmap(IOVA, LENGTH))).toBe("EDEADLK@map");
  expect([tries, r.fw.findings.map((f) => [f.requirement, f.level])]).toEqual([
    100,
    [["iommufd/access-unmap", "warn"]],
  ]);
  expect(r.answer(r.access.pinPages(IOVA, 0x1000n, READ))).toBe("EINVAL@map");
  r.run(r.access.unpinPages(IOVA, 0x1000n));
  expect(r.run(r.ioas.unmap(IOVA, LENGTH))).toBe(LENGTH);
});

it("access_rw and access_rw_unaligned: bytes, at all places and sizes, across pages", () => {
  const r = rig({});
  for (const at of [0, 1, 7, 2048, PAGE - 1, PAGE - 8, 2 * PAGE - 3])
    for (const length of [1, 3, 64, PAGE, PAGE + 5, 3 * PAGE]) {
      r.run(r.access.write(IOVA + BigInt(at), pattern(at + length, length)));
      expect(r.file.read(at, length)).toEqual(pattern(at + length, length));
      expect(r.run(r.access.read(IOVA + BigInt(at), length))).toEqual(pattern(at + length, length));
    }
  expect(r.locked()).toBe(0);
});

describe.each([
  ["no_domain", 0],
  ["mock_domain", 1],
])("%s", (_name, domains) => {
  it("fork_gone: of a process that ended, what a domain has pinned is reached, and nothing else: EFAULT", () => {
    const r = rig();
    for (let i = 0; i < domains; i++) r.run(r.ioas.allocHwpt(r.nic));
    r.file.write(0, pattern(8));
    r.user.exit();
    expect(r.answer(r.access.read(IOVA, 16))).toBe(domains > 0 ? "ok" : "EFAULT@map");
    if (domains > 0) expect(r.run(r.access.read(IOVA, 16))).toEqual(pattern(8));
  });

  it("fork_present: of a process that is there, both are reached, and what the read pinned is given back", () => {
    const r = rig();
    for (let i = 0; i < domains; i++) r.run(r.ioas.allocHwpt(r.nic));
    r.file.write(0, pattern(8));
    expect([r.run(r.access.read(IOVA, 16)), r.locked()]).toEqual([pattern(8), 8 * domains]);
  });
});

it("an IOVA that begins inside a page is read and written by who does not pin", () => {
  const r = rig({});
  const iova = 0x1001n;
  r.run(r.ioas.map({ flags: MAP.FIXED_RW, iova, length: 100n, userVa: VA + 77n }));
  r.run(r.access.write(iova + 1n, pattern(6)));
  expect(r.file.read(78, 16)).toEqual(pattern(6));
});

it("pins are given back by another task, soon after the callback: the unmap waits", () => {
  let asked = false;
  const r = rig({ needsPinPages: true, unmap: () => void (asked = true) });
  r.run(r.access.pinPages(IOVA, 0x1000n, READ));
  const unmap = r.scheduler.spawn("unmap", r.ioas.unmap(IOVA, LENGTH));
  r.scheduler.spawn(
    "driver",
    (function* (): Op<void> {
      yield* until("driver.work", () => asked);
      yield* r.access.unpinPages(IOVA, 0x1000n);
    })(),
  );
  expect([r.scheduler.run().kind, unmap.result, r.fw.findings]).toEqual(["done", LENGTH, []]);
});

it("unpin: of the range that was pinned, as often as it was; of a part of it, EINVAL and nothing happens", () => {
  const r = rig();
  const hwpt = r.run(r.ioas.allocHwpt(r.nic));
  for (let i = 0; i < 2; i++) r.run(r.access.pinPages(IOVA, 0x2000n, WRITE));
  expect(r.answer(r.access.unpinPages(IOVA, 0x1000n))).toBe("EINVAL@map");
  expect(r.answer(r.access.unpinPages(IOVA + 0x1000n, 0x2000n))).toBe("EINVAL@map");
  r.run(r.access.unpinPages(IOVA, 0x2000n));
  r.run(r.iommufd.objects.destroy(r.iommufd.objects.idOf(hwpt)));
  expect(r.locked()).toBe(2);
  r.run(r.access.unpinPages(IOVA, 0x2000n));
  expect([r.locked(), r.answer(r.access.unpinPages(IOVA, 0x2000n))]).toEqual([0, "EINVAL@map"]);
});

it("a write through an area that may be read alone, of a backing that may be written: allowed, as Linux has it", () => {
  const r = rig();
  const copied = { flags: MAP.FIXED | MAP.READ, iova: 0x10_0000n, length: LENGTH, src: r.ioas, srcIova: IOVA };
  r.run(r.ioas.copy(copied));
  r.run(r.access.write(0x10_0000n, pattern(4)));
  expect(r.file.read(0, 16)).toEqual(pattern(4));
});

it("a replace that is refused leaves it, and its pins, in the old IOAS", () => {
  const r = rig();
  r.run(r.access.pinPages(IOVA, 0x1000n, READ));
  const other = r.iommufd.createIoas();
  r.run(other.map({ flags: MAP.FIXED_RW, iova: 0x1001n, length: 100n, userVa: VA }));
  expect(r.answer(r.access.replace(other))).toBe("EADDRINUSE@attach");
  expect([r.access.ioas === r.ioas, other.users]).toEqual([true, 0]);
  r.run(r.access.unpinPages(IOVA, 0x1000n));
  expect(r.locked()).toBe(0);
});

describe("what is refused", () => {
  it.each<[string, string, (r: Rig) => Op<unknown>]>([
    ["a hole", "ENOENT@map", (r) => r.access.pinPages(0x1000n, 0x1000n, READ)],
    ["beyond the area", "ENOENT@map", (r) => r.access.pinPages(IOVA, LENGTH + 0x1000n, READ)],
    ["length 0", "EINVAL@map", (r) => r.access.pinPages(IOVA, 0n, READ)],
    ["beyond 64 bits", "EOVERFLOW@map", (r) => r.access.pinPages(2n ** 64n - 0x1000n, 0x2000n, READ)],
    ["inside a page", "EINVAL@map", (r) => r.access.pinPages(IOVA + 8n, 0x1000n, READ)],
    ["less than a page", "EINVAL@map", (r) => r.access.pinPages(IOVA, 8n, READ)],
    ["unpin of what is not pinned", "EINVAL@map", (r) => r.access.unpinPages(IOVA, 0x1000n)],
    ["memory that is gone", "EFAULT@map", (r) => (r.user.exit(), r.access.pinPages(IOVA, 0x2000n, READ))],
    ["attached twice", "EINVAL@attach", (r) => r.access.attach(r.ioas)],
    [
      "a write to what may be read alone",
      "EPERM@map",
      (r) => {
        r.run(r.ioas.map({ flags: MAP.FIXED | MAP.READ, iova: 0n, length: 0x1000n, userVa: VA }));
        return r.access.pinPages(0n, 0x1000n, WRITE);
      },
    ],
    [
      "detached",
      "ENOENT@map",
      (r) => {
        r.run(r.access.detach());
        return r.access.pinPages(IOVA, 0x1000n, READ);
      },
    ],
    [
      "detached twice",
      "EINVAL@attach",
      (r) => {
        r.run(r.access.detach());
        return r.access.detach();
      },
    ],
  ])("%s: %s", (_what, expected, call) => {
    const r = rig();
    const op = call(r);
    expect(r.answer(op)).toBe(expected);
  });

  it("pins by who said that it does not pin: EINVAL", () => {
    const r = rig({});
    expect(r.answer(r.access.pinPages(IOVA, 0x1000n, READ))).toBe("EINVAL@map");
  });

  it("a page that cannot be pinned leaves those before it as they were", () => {
    const r = rig();
    r.user.munmap(VA + 0x3000n, PAGE);
    expect(r.answer(r.access.pinPages(IOVA, LENGTH, READ))).toBe("EFAULT@map");
    expect([r.locked(), r.run(r.ioas.unmap(IOVA, LENGTH))]).toEqual([0, LENGTH]);
  });

  it("attach over an area that is not aligned to pages: EADDRINUSE; with it, MAP is EINVAL", () => {
    const r = rig({});
    r.run(r.ioas.map({ flags: MAP.FIXED_RW, iova: 0x1001n, length: 100n, userVa: VA }));
    const pins = r.iommufd.createAccess({ needsPinPages: true });
    expect(r.answer(pins.attach(r.ioas))).toBe("EADDRINUSE@attach");
    r.run(r.ioas.unmap(0x1001n, 100n));
    expect(r.answer(pins.attach(r.ioas))).toBe("ok");
    expect(r.answer(r.ioas.map({ flags: MAP.FIXED_RW, iova: 0x1001n, length: 100n, userVa: VA }))).toBe("EINVAL@map");
    r.run(pins.detach());
    expect(r.answer(r.ioas.map({ flags: MAP.FIXED_RW, iova: 0x1001n, length: 100n, userVa: VA }))).toBe("ok");
  });
});

it("replace: the callback gets the whole space, and pins are of the new IOAS; an IOAS with an access is EBUSY", () => {
  const told: unknown[] = [];
  const r: Rig = rig({
    needsPinPages: true,
    *unmap(iova, length): Op<void> {
      told.push([iova, length]);
      yield* r.access.unpinPages(IOVA, 0x1000n);
    },
  });
  r.run(r.access.pinPages(IOVA, 0x1000n, READ));
  const other = r.iommufd.createIoas();
  r.run(r.access.replace(other));
  expect([told, r.locked(), r.access.ioas]).toEqual([[[0n, 2n ** 64n - 1n]], 0, other]);
  const destroy = (ioas: Ioas): string => r.answer(r.iommufd.objects.destroy(r.iommufd.objects.idOf(ioas)));
  expect([destroy(other), destroy(r.ioas)]).toEqual(["EBUSY@map", "ok"]);
  const free = r.iommufd.createAccess();
  expect(r.answer(free.replace(other))).toBe("ENOENT@attach");
});
