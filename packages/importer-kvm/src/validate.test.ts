import { addr, type DmaBuf, DmaBufError, type Gpa } from "@dma-buf/core";
import { expect, it } from "vitest";
import { checkMemslot, type Memslot } from "./validate.js";

const buf = { sizeBytes: 0x10000 } as DmaBuf;
const slot = (change: Partial<Memslot> & { at?: number } = {}): Memslot => ({
  gpa: addr<Gpa>(change.at ?? 0x100000),
  sizeBytes: 0x10000,
  buf,
  offset: 0,
  ...change,
});
const posted = { privateMemory: true };

it.each<[string, Memslot, Memslot[], typeof posted | null, string]>([
  ["whole buffer", slot(), [], null, "ok"],
  ["a slice", slot({ offset: 0x3000, sizeBytes: 0x1000 }), [], null, "ok"],
  ["beside another", slot({ at: 0x110000 }), [slot()], null, "ok"],
  ["unaligned address", slot({ at: 0x100800 }), [], null, "EINVAL"],
  ["unaligned offset", slot({ offset: 1, sizeBytes: 0x1000 }), [], null, "EINVAL"],
  ["empty", slot({ sizeBytes: 0 }), [], null, "EINVAL"],
  ["beyond the buffer", slot({ offset: 0x1000 }), [], null, "EINVAL"],
  ["overlapping", slot({ at: 0x10f000 }), [slot()], null, "EEXIST"],
  ["posted: whole buffer, private memory", slot(), [], posted, "ok"],
  ["posted: ordinary VM", slot(), [], { privateMemory: false }, "EINVAL"],
  ["posted: a slice", slot({ sizeBytes: 0x1000 }), [], posted, "EINVAL"],
])("%s: %s", (_name, memslot, others, rules, expected) => {
  let code = "ok";
  try {
    checkMemslot(memslot, others, rules);
  } catch (error) {
    code = error instanceof DmaBufError ? error.code : String(error);
  }
  expect(code).toBe(expected);
});
