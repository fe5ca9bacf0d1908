/** Laws over any sequence of calls: references balance, a refusal leaves no state, nobody calls back after detach. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { dmaAddress } from "./contracts/dma-address.js";
import { linux73 } from "./contracts/linux-7.3.js";
import { pfn } from "./contracts/pfn.js";
import type { Contract } from "./contract.js";
import type { DmaBuf, DmaBufAttachment, SgTable } from "./dma-buf.js";
import { DmaBufError } from "./error.js";
import { importer, type Kit, kit, maps, device, refuse } from "./testing.js";

/** Which of the exporter's callbacks refuse at this moment, and whether the importer is static. */
const step = fc.record({
  call: fc.constantFrom(
    "attach",
    "detach",
    "map",
    "unmap",
    "pin",
    "unpin",
    "get",
    "put",
    "invalidate",
    "vmap",
    "vunmap",
  ),
  which: fc.nat(3),
  refuses: fc.constantFrom("nothing", "attach", "pin", "mapDmaBuf", "vmap"),
  isStatic: fc.boolean(),
});
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Out {
  readonly attachments: DmaBufAttachment[];
  readonly maps: { at: DmaBufAttachment; sgt: SgTable }[];
  readonly pins: DmaBufAttachment[];
  readonly vmaps: object[];
  refs: number;
}

/** An exporter that counts what it gave out, and refuses what it is told to. */
function counting(k: Kit, balance: Record<string, number>, refuses: { now: string }, late: string[]): DmaBuf {
  const ops: Record<string, unknown> = {};
  for (const [give, take] of [
    ["attach", "detach"],
    ["pin", "unpin"],
    ["mapDmaBuf", "unmapDmaBuf"],
    ["vmap", "vunmap"],
  ] as const) {
    balance[give] = 0;
    ops[give] = (at: DmaBufAttachment) => {
      if (at.detached) late.push(give);
      if (refuses.now === give) refuse("ENODEV")();
      balance[give] = (balance[give] ?? 0) + 1;
      return give === "mapDmaBuf" ? maps.mapDmaBuf?.(at, "to-device", null as never) : { address: 1, isIomem: false };
    };
    ops[take] = (at: DmaBufAttachment) => {
      if (at.detached && take !== "detach") late.push(take);
      balance[give] = (balance[give] ?? 0) - 1;
    };
  }
  return k.exported({ ...ops, release() {} });
}

function act(k: Kit, buf: DmaBuf, out: Out, { call, which, isStatic }: Step): void {
  const { fw, complete } = k;
  const pick = <T>(list: T[]): T | undefined => list[which % Math.max(1, list.length)];
  const take = <T>(list: T[]): T | undefined => list.splice(which % Math.max(1, list.length), 1)[0];
  const at = pick(out.attachments);
  using held = ["pin", "unpin", "invalidate"].includes(call) ? k.hold(buf.resv) : null;
  if (call === "attach") out.attachments.push(k.attach(buf, device, isStatic ? null : importer));
  else if (call === "get") {
    fw.get(buf);
    out.refs++;
  } else if (call === "put" && out.refs > 1) {
    complete(fw.put(buf));
    out.refs--;
  } else if (call === "invalidate") complete(fw.invalidate(buf, held as never));
  else if (call === "vmap") out.vmaps.push(complete(fw.vmapBufferUnlocked(buf)));
  else if (call === "vunmap") {
    const map = take(out.vmaps);
    if (map) complete(fw.vunmapBufferUnlocked(buf, map as never));
  } else if (call === "unmap") {
    const map = take(out.maps);
    if (map) complete(fw.unmapAttachmentUnlocked(map.at, map.sgt, "to-device"));
  } else if (call === "unpin") {
    const pinned = take(out.pins);
    if (pinned) complete(fw.unpinAttachment(pinned, held as never));
  } else if (at && call === "map") out.maps.push({ at, sgt: complete(fw.mapAttachmentUnlocked(at, "to-device")) });
  else if (at?.importer && call === "pin") {
    complete(fw.pinAttachment(at, held as never));
    out.pins.push(at);
  } else if (at && call === "detach" && !out.maps.some((m) => m.at === at) && !out.pins.includes(at)) {
    out.attachments.splice(out.attachments.indexOf(at), 1);
    complete(fw.detachAttachment(buf, at));
  }
}

function closeAll(k: Kit, buf: DmaBuf, out: Out): void {
  const { fw, complete } = k;
  for (const { at, sgt } of out.maps) complete(fw.unmapAttachmentUnlocked(at, sgt, "to-device"));
  for (const at of out.pins) {
    using held = k.hold(buf.resv);
    complete(fw.unpinAttachment(at, held));
  }
  for (const map of out.vmaps) complete(fw.vunmapBufferUnlocked(buf, map as never));
  for (const at of out.attachments) complete(fw.detachAttachment(buf, at));
  for (let i = 0; i < out.refs; i++) complete(fw.put(buf));
}

describe.each<Contract>([dmaAddress, linux73, pfn])("$id", (contract) => {
  it("any sequence: what a call takes, its counterpart gives back; a refusal changes nothing", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const k = kit(contract);
        const balance: Record<string, number> = {};
        const refuses = { now: "nothing" };
        const late: string[] = [];
        const buf = counting(k, balance, refuses, late);
        const out: Out = { attachments: [], maps: [], pins: [], vmaps: [], refs: 1 };
        for (const s of steps) {
          refuses.now = s.refuses;
          const before = { ...k.fw.ledger, ...balance };
          try {
            act(k, buf, out, s);
          } catch (error) {
            if (!(error instanceof DmaBufError)) throw error;
            expect({ ...k.fw.ledger, ...balance }).toEqual(before);
          }
          refuses.now = "nothing";
        }
        closeAll(k, buf, out);
        expect(Object.values(k.fw.ledger)).toEqual([0, 0, 0, 0, 0, 0]);
        expect([balance, late]).toEqual([{ attach: 0, pin: 0, mapDmaBuf: 0, vmap: 0 }, []]);
        // A refused vmap is a WARN in the kernel; nothing else here breaks a rule.
        expect(k.fw.findings.filter((f) => !f.requirement.endsWith("/vmap"))).toEqual([]);
      }),
    );
  });
});
