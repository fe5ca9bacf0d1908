/** What an exporter throws and is no refusal: a finding by its name, and nothing is left. */
import { refusal } from "@dma-buf/config/refusal";
import { addr, type DmaBuf, type DmaBufOps, PAGE_SIZE, type Pfn, type Run } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { BAR, PAGE, type Rig, rig, VA } from "./testing/rig.js";
import { SERVING, type VariantId } from "./testing/variants.js";

const TOLD = "stubborn threw: TypeError: told to";
/** What ends in an errno or an error, and what cannot refuse. */
const ASKED = ["attach", "pin", "mapDmaBuf", "getPfn"] as const;
const GIVEN_BACK = ["unmapDmaBuf", "unpin", "detach"] as const;
type Hook = (typeof ASKED)[number] | (typeof GIVEN_BACK)[number];

/** One page, told in the words of the contract; `null`: it has no such call. */
function stubborn(r: Rig, id: VariantId, hook: Hook): DmaBuf | null {
  const extent = { offset: 0, sizeBytes: PAGE, address: addr<never>(BAR) };
  const attributes = { cache: "uc", snoop: false } as const;
  const [bus] = r.host.device.spaces;
  const run = (id === "annotated-address" ? { ...extent, ...bus, attributes } : { kind: "dma", ...extent }) as Run;
  const maps = { mapDmaBuf: () => ({ runs: [run] }), unmapDmaBuf() {} };
  const tells = { getPfn: () => ({ pfn: addr<Pfn>(BAR / PAGE_SIZE), maxOrder: 0 }) };
  const shape = r.fw.contract.rows.getPfn ? tells : maps;
  const ops: DmaBufOps = { ...shape, attach() {}, detach() {}, pin() {}, unpin() {}, release() {} };
  if (!(hook in ops)) return null;
  const throws = (): never => {
    throw new TypeError("told to");
  };
  return r.fw.export({ exporterName: "stubborn", ops: { ...ops, [hook]: throws }, sizeBytes: PAGE, priv: {} });
}

/** Attached, mapped for a range, and given back. */
function used(r: Rig, buf: DmaBuf): void {
  const vm = r.gpu.createVm();
  try {
    const bo = r.run(r.gpu.import(buf));
    try {
      vm.map(bo, { va: VA });
      r.run(r.gpu.validate(vm, [{ bo }]));
    } finally {
      r.run(r.gpu.close(bo));
    }
  } finally {
    r.run(vm.destroy());
  }
}

const MODES = ["dynamic", "pinned"] as const;

describe.each(SERVING)("%s", (id) => {
  it.each([...ASKED, ...GIVEN_BACK].flatMap((hook) => MODES.map((mode) => [hook, mode] as const)))(
    "%s throws a TypeError, %s: a finding by the exporter's name, and nothing is left",
    (hook, importer) => {
      const r = rig(id, { importer: { importer } });
      const buf = stubborn(r, id, hook);
      if (!buf) return;
      const before = r.counts();
      const told = thrownBy(() => used(r, buf));
      const booked = r.fw.findings.filter((f) => f.party === "exporter").map((f) => f.message);
      const pins = hook === "pin" || hook === "unpin";
      // Who need not be pinned is not asked to.
      const isReached = !pins || importer === "pinned";
      expect(booked.includes(TOLD)).toBe(isReached);
      expect(told !== null).toBe(isReached && ASKED.some((asked) => asked === hook));
      expect([r.counts(), buf.refs, buf.resv.locked]).toEqual([before, 1, false]);
    },
  );
});

/** What was thrown, `null`: nothing. */
function thrownBy(act: () => void): string | null {
  let told: string | null = null;
  try {
    const refused = refusal(act);
    if (refused !== "ok") told = refused;
  } catch (error) {
    told = String(error);
  }
  return told;
}
