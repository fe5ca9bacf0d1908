import { expect, it } from "vitest";
import { type FaultSource, FaultLog, faultRecord, type Stopped } from "./fault.js";

const FROM: FaultSource = { source: "0000:03:00.0", pasid: null, address: 0x1000, access: "write" };
const READ: FaultSource = { ...FROM, access: "read" };

it.each<[Stopped, number, number]>([
  ["no-entry", 0x02, 0x02],
  ["address-width", 0x04, 0x04],
  ["not-present", 0x05, 0x06],
  ["permission", 0x05, 0x06],
  ["no-memory", 0x07, 0x07],
  ["malformed", 0x0c, 0x0c],
  ["not-allowed", 0x0d, 0x0d],
])("VT-d reports %s as %i for a write and %i for a read", (stopped, write, read) => {
  expect(faultRecord("vt-d", FROM, stopped, 7)).toMatchObject({ ...FROM, step: 7, unit: "vt-d", reason: write });
  expect(faultRecord("vt-d", READ, stopped, 7)).toMatchObject({ ...READ, reason: read });
});

it.each<[Stopped, string]>([
  ["no-entry", "ILLEGAL_DEV_TABLE_ENTRY"],
  ["address-width", "IO_PAGE_FAULT"],
  ["not-present", "IO_PAGE_FAULT"],
  ["permission", "IO_PAGE_FAULT"],
  ["no-memory", "PAGE_TAB_HARDWARE_ERROR"],
  ["malformed", "PAGE_TAB_HARDWARE_ERROR"],
  ["not-allowed", "INVALID_DEVICE_REQUEST"],
])("AMD reports %s as %s, with a flag for a write", (stopped, event) => {
  expect(faultRecord("amd-vi", FROM, stopped, 7)).toMatchObject({ unit: "amd-vi", event, flags: 0x20 });
  expect(faultRecord("amd-vi", READ, stopped, 7)).toMatchObject({ event, flags: 0 });
});

it.each<[Stopped, string]>([
  ["no-entry", "C_BAD_STREAMID"],
  ["address-width", "F_TRANSLATION"],
  ["not-present", "F_TRANSLATION"],
  ["permission", "F_PERMISSION"],
  ["no-memory", "F_WALK_EABT"],
  ["malformed", "F_TRANSLATION"],
  ["not-allowed", "F_TRANSL_FORBIDDEN"],
])("an SMMU reports %s as %s", (stopped, event) => {
  for (const from of [FROM, READ])
    expect(faultRecord("smmu-v3", from, stopped, 7)).toMatchObject({ ...from, unit: "smmu-v3", event });
});

it("says in one line who, where and why", () => {
  expect(faultRecord("vt-d", FROM, "permission", 0).text).toBe(
    "vt-d: write by 0000:03:00.0 at 0x1000 stopped, reason 0x5: permission",
  );
  expect(faultRecord("amd-vi", READ, "no-entry", 0).text).toBe(
    "amd-vi: read by 0000:03:00.0 at 0x1000 stopped, ILLEGAL_DEV_TABLE_ENTRY, flags 0x0: no-entry",
  );
});

it("a full log keeps the oldest and counts the rest, until it is read", () => {
  const log = new FaultLog(2);
  for (const step of [1, 2, 3, 4]) log.add(faultRecord("vt-d", FROM, "no-entry", step));
  expect([log.records.map((r) => r.step), log.overflowed]).toEqual([[1, 2], 2]);
  log.clear();
  expect([log.records, log.overflowed]).toEqual([[], 0]);
});
