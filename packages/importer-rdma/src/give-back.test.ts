/** What an exporter throws when something is given back, or never answers, keeps nothing else from being given back. */
import { type DmaBuf, type DmaBufOps, linux73, type Op, until, type Window } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { onePage } from "./testing/one-page.js";
import { KINDS, PAGE, Rig, SERVING } from "./testing/rig.js";

const HOWS: Readonly<Record<string, () => unknown>> = {
  throws: () => {
    throw new TypeError("told to");
  },
  "never answers": () => until("for ever", () => false),
};
const HOOKS = ["unmapDmaBuf", "unpin", "detach"] as const;

const exported = (r: Rig, ops: DmaBufOps): DmaBuf =>
  r.fw.export({ exporterName: "stubborn", ops, sizeBytes: PAGE, priv: {} });

describe.each(SERVING)("%s", (id) => {
  it.each(HOOKS.flatMap((hook) => Object.keys(HOWS).map((how) => [hook, how] as const)))("%s %s", (hook, how) => {
    // What is static, the core maps and pins by itself: what it does with it is the core's.
    for (const kind of KINDS.filter((one) => one !== "static")) {
      const r = new Rig(id);
      const ops = onePage(r, id, () => 0x1_0000);
      const [maps, pins] = [hook === "unmapDmaBuf", hook === "unpin"];
      if (maps && !ops.unmapDmaBuf) continue;
      const buf = exported(r, { ...ops, [hook]: HOWS[how] });
      const mr = r.reg(buf, { kind });
      const told = () => r.run(r.rdma.deregMr(mr));
      if (pins && r.fw.ledger.pins === 0) told();
      else expect(told).toThrow(/told to|did not end/);
      const { attachments, pins: left } = r.fw.ledger;
      expect([buf.refs, buf.resv.locked, attachments, left]).toEqual([1, false, 0, 0]);
      expect(r.rdma.ledger).toEqual({ memoryRegions: 0, keys: 0, segments: 0 });
    }
  });
});

it("dereg is ended while a page fault never ends: all is given back", () => {
  const r = new Rig("linux-7.3");
  let isAsked = false;
  const buf = exported(r, {
    ...onePage(r, "linux-7.3", () => 0x1_0000),
    *mapDmaBuf() {
      isAsked = true;
      yield* until("for ever", () => false);
      return { runs: [] };
    },
  });
  const mr = r.reg(buf, { prefetch: false });
  function* dereg(): Op<void> {
    yield* until("the fault", () => isAsked);
    yield* r.rdma.deregMr(mr);
  }
  r.scheduler.spawn("fault", r.rdma.prefetch(mr));
  r.scheduler.spawn("dereg", dereg());
  expect(r.scheduler.run()).toMatchObject({ waits: [{ site: "for ever" }, { site: "rdma.faults_done" }] });
  expect([buf.refs, r.fw.ledger.attachments, mr.state]).toEqual([1, 0, "deregistered"]);
});

it("the window is closed, once, and not before what was seen through it is given back", () => {
  const steps: string[] = [];
  const contract = {
    ...linux73,
    *open(...given: Parameters<typeof linux73.open>): Op<Window> {
      const window = yield* linux73.open(...given);
      return {
        ...window,
        *close() {
          steps.push("close");
          yield* window.close();
        },
      };
    },
  };
  const r = new Rig("linux-7.3", { contract });
  const ops = onePage(r, "linux-7.3", () => 0x1_0000);
  const mr = r.reg(
    exported(r, { ...ops, unmapDmaBuf: () => void steps.push("unmap"), detach: () => void steps.push("detach") }),
  );
  r.run(r.rdma.deregMr(mr));
  expect(steps).toEqual(["unmap", "close", "detach"]);
});
