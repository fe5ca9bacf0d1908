/** What a key allows, and where a region ends. */
import { addr, type Run } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, PAGE, Rig } from "./testing/rig.js";

describe("rights", () => {
  it.each([
    ["remote write without the right", ["local-write", "remote-read"], "write", "remote", "REM_ACCESS_ERR"],
    ["remote read without the right", ["local-write", "remote-write"], "read", "remote", "REM_ACCESS_ERR"],
    ["local write without the right", [], "write", "local", "LOC_PROT_ERR"],
    ["local read needs none", [], "read", "local", null],
  ] as const)("%s", (_name, access, what, side, status) => {
    const r = new Rig("linux-7.3");
    const mr = r.reg(r.bar(r.vfio()), { access });
    const at = { key: mr.rkey, iova: 0, side };
    const result = what === "write" ? r.write(at, 1) : r.read(at);
    expect(result).toMatchObject(status ? { kind: "protection-error", status } : { kind: "done" });
    expect(r.byte(BAR)).toBe(0);
  });

  it("outside of the region, before and behind, and across its end: nothing arrives", () => {
    const r = new Rig("linux-7.3");
    const buf = r.bar(r.vfio());
    const mr = r.reg(buf, { offset: 16, sizeBytes: PAGE, iova: 0x1010 });
    for (const [iova, size] of [
      [0x100f, 1],
      [0x2010, 1],
      [0x200f, 2],
      [0x1010, PAGE + 1],
    ] as const)
      expect(r.write({ key: mr.rkey, iova }, 1, size).kind).toBe("protection-error");
    expect(r.write({ key: mr.rkey, iova: 0x1010 }, 1, PAGE).kind).toBe("done");
    expect([r.byte(BAR + 15), r.byte(BAR + 16), r.byte(BAR + PAGE + 15), r.byte(BAR + PAGE + 16)]).toEqual([
      0, 1, 1, 0,
    ]);
    expect(r.write({ key: 1, iova: 0x1010 }, 1)).toMatchObject({ reason: "no key 1: register first" });
  });

  it("in the middle of the last page, as the buffer does", () => {
    const r = new Rig("linux-7.3");
    const sizeBytes = PAGE + 17;
    const runs: readonly Run[] = [{ kind: "dma", offset: 0, sizeBytes, address: addr(0x1_0000) }];
    const ops = { mapDmaBuf: () => ({ runs }), unmapDmaBuf() {}, release() {} };
    const mr = r.reg(r.fw.export({ exporterName: "odd", ops, sizeBytes, priv: {} }));
    expect(r.write({ key: mr.rkey, iova: PAGE + 16 }, 1, 1).kind).toBe("done");
    expect(r.write({ key: mr.rkey, iova: PAGE + 17 }, 1, 1).kind).toBe("protection-error");
    expect([r.byte(0x1_1010), r.byte(0x1_1011)]).toEqual([1, 0]);
  });

  it("of no bytes nothing is looked up: not beyond the end, and not by a key that is none", () => {
    const r = new Rig("linux-7.3");
    const mr = r.reg(r.bar(r.vfio()), { prefetch: false });
    for (const key of [mr.rkey, 1]) {
      const end = { key, iova: mr.iova + mr.sizeBytes };
      expect([r.write(end, 1, 0), r.read(end, 0)]).toEqual([done(), done()]);
    }
    expect(mr.state).toBe("unmapped");
  });
});

function done() {
  return { kind: "done", bytes: new Uint8Array(0) };
}
