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
/** What is static, the core maps and pins by itself: what it does with it is the core's, and pfn, as posted, forgets the pin. */
const OWN = KINDS.filter((one) => one !== "static");
const ASKED = ["attach", "pin", "mapDmaBuf", "getPfn"] as const;

const exported = (r: Rig, ops: DmaBufOps): DmaBuf =>
  r.fw.export({ exporterName: "stubborn", ops, sizeBytes: PAGE, priv: {} });

describe.each(SERVING)("%s", (id) => {
  it.each(HOOKS.flatMap((hook) => Object.keys(HOWS).map((how) => [hook, how] as const)))("%s %s", (hook, how) => {
    for (const kind of OWN) {
      const r = new Rig(id);
      const ops = onePage(r, id, () => 0x1_0000);
      const [maps, pins] = [hook === "unmapDmaBuf", hook === "unpin"];
      if (maps && !ops.unmapDmaBuf) continue;
      const buf = exported(r, { ...ops, [hook]: HOWS[how] });
      const mr = r.reg(buf, { kind });
      const told = () => r.run(r.rdma.deregMr(mr));
      const isReached = !pins || r.fw.ledger.pins > 0;
      if (isReached && how === "never answers") expect(told).toThrow(/did not end/);
      else told();
      if (isReached && how === "throws") expect(booked(r)).toEqual(["stubborn threw: TypeError: told to"]);
      const { attachments, pins: left } = r.fw.ledger;
      expect([buf.refs, buf.resv.locked, attachments, left]).toEqual([1, false, 0, 0]);
      expect(r.rdma.ledger).toEqual({ memoryRegions: 0, keys: 0, segments: 0 });
    }
  });
});

it.each(SERVING.flatMap((id) => ASKED.map((hook) => [id, hook] as const)))(
  "%s: %s throws a TypeError: refused, a finding by the exporter's name, and nothing is left",
  (id, hook) => {
    for (const kind of OWN) {
      const r = new Rig(id);
      const ops = onePage(r, id, () => 0x1_0000);
      if (hook !== "attach" && !ops[hook]) continue;
      const buf = exported(r, { ...ops, [hook]: HOWS["throws"] });
      const before = r.counts();
      const told = thrownBy(() => r.reg(buf, { kind }));
      const isReached = told !== null;
      if (hook !== "pin") expect(isReached).toBe(true);
      if (!isReached) continue;
      // What it answers with is looked at, and is not believed: then it is a refusal.
      expect(told).toMatch(/^TypeError: told to$|EINVAL: stubborn: throws TypeError: told to/);
      expect(booked(r)).toContain("stubborn threw: TypeError: told to");
      expect([r.counts(), buf.refs, buf.resv.locked]).toEqual([before, 1, false]);
    }
  },
);

/** What is booked against the exporter. */
const booked = (r: Rig): string[] => r.fw.findings.filter((f) => f.party === "exporter").map((f) => f.message);

/** What was thrown; `null`: nothing was. */
function thrownBy(act: () => unknown): string | null {
  try {
    act();
    return null;
  } catch (error) {
    return String(error);
  }
}

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
