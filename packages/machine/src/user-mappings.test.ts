import { DmaBufError } from "@dma-buf/core";
import { expect, it } from "vitest";
import { MachineMemfds } from "./memfd.js";
import { rig } from "./testing.js";
import { UserMappings } from "./user-mappings.js";

const PAGE = 4096;
const VA = 0x7f00_0000_0000n;

function mapped(max?: number) {
  const { machine } = rig();
  const memfds = new MachineMemfds(machine);
  const file = memfds.memfd(memfds.create(4 * PAGE));
  const user = new UserMappings(max);
  user.mmap(VA, 4 * PAGE, { file });
  const told = (address: bigint, write = true): string => {
    try {
      user.pinUserPage(address, write);
      return "ok";
    } catch (error) {
      return error instanceof DmaBufError ? `${error.code}@${error.stage}` : String(error);
    }
  };
  return { machine, memfds, file, user, told };
}

it("a pinned page is that of the file, and stays when the mapping goes", () => {
  const { user, file, machine } = mapped();
  const { ranges, unpin } = user.pinUserPage(VA + 0x2000n, true);
  expect(ranges).toEqual(file.ranges(2 * PAGE, PAGE));
  user.exit();
  expect([user.lockedPages, machine.resources.read()["memfdPins"]]).toEqual([1, 1]);
  unpin();
  expect([user.lockedPages, machine.resources.read()["memfdPins"]]).toEqual([0, 0]);
});

it("a hole in the middle splits the mapping", () => {
  const { user, told, file } = mapped();
  user.munmap(VA + 0x1000n, PAGE);
  expect([0n, 1n, 2n, 3n].map((page) => told(VA + page * 4096n))).toEqual(["ok", "EFAULT@map", "ok", "ok"]);
  expect(user.pinUserPage(VA + 0x3000n, true).ranges).toEqual(file.ranges(3 * PAGE, PAGE));
});

it("EFAULT: unmapped, page frames, read-only, beyond the end of the file; ENOMEM: more than may be locked", () => {
  const { user, told, file } = mapped(2);
  user.mmap(0x1000n, PAGE, { file: null });
  user.mmap(0x2000n, PAGE, { file, write: false });
  user.mmap(0x3000n, PAGE, { file, offset: 4 * PAGE });
  expect([0x9000n, 0x1000n, 0x2000n, 0x3000n].map((va) => told(va))).toEqual(
    Array.from({ length: 4 }, () => "EFAULT@map"),
  );
  expect([told(0x2000n, false), told(VA), told(VA)]).toEqual(["ok", "ok", "ENOMEM@map"]);
});

it("a mapping holds its file, until the last part of it goes", () => {
  const { user, memfds, file, machine } = mapped();
  file.ranges(0, 4 * PAGE);
  memfds.close(3);
  user.munmap(VA, PAGE);
  expect(machine.resources.read()).toMatchObject({ memfdFrames: 4 });
  user.munmap(VA + 0x1000n, 3 * PAGE);
  expect(machine.resources.read()).toMatchObject({ memfdFrames: 0 });
});
