import * as fc from "fast-check";
import { DmaBufError } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { ALL, Nic, rig, type Rig, type VariantId } from "./testing/rig.js";
import type { Block, BufferObject } from "./index.js";

const VRAM_PAGES = 8;
const BUFFERS = 3;

/** What an importer, the driver or a process does next, to one of the buffers. */
interface Step {
  readonly what:
    | "attach"
    | "detach"
    | "use"
    | "pin"
    | "unpin"
    | "evict"
    | "back"
    | "read"
    | "driver-pin"
    | "driver-unpin";
  readonly buffer: number;
  readonly nic: number;
  readonly peer2peer: boolean;
}

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom<Step["what"][]>(
    ...(["attach", "attach", "detach", "use", "use", "pin", "unpin", "evict", "back", "read"] as const),
    ...(["driver-pin", "driver-unpin"] as const),
  ),
  buffer: fc.nat(BUFFERS - 1),
  nic: fc.nat(7),
  peer2peer: fc.boolean(),
});

interface Held {
  readonly nic: Nic;
  pins: number;
}

interface Shared extends ReturnType<Rig["shared"]> {
  readonly nics: Held[];
  driverPins: number;
}

describe.each(ALL)("%s", (id) => {
  it("whatever is done: allowed places only, what is pinned stays, blocks are apart, and all is given back", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 25 }), (steps) => {
        const r = rig(id, { vramPages: VRAM_PAGES, windowPages: 4, ramPages: 6 });
        const all = [r.shared(2), r.shared(3, { noCpuAccess: true }), r.shared(1, { preferred: "gtt" })].map(
          (shared): Shared => ({ ...shared, nics: [], driverPins: 0 }),
        );
        for (const s of steps) checked(r, all, id, s);
        for (const shared of all) giveBack(r, shared);
        expect(Object.values(r.counts()).filter((n) => n !== 0)).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});

function checked(r: Rig, all: readonly Shared[], id: VariantId, s: Step): void {
  const pinned = all.filter(({ bo }) => bo.pinCount > 0).map(({ bo }) => [bo, bo.place] as const);
  try {
    act(r, all[s.buffer] as Shared, id, s);
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
  }
  for (const [bo, place] of pinned) if (bo.pinCount > 0) expect(bo.place).toBe(place);
  for (const { bo, nics, driverPins } of all) {
    expect(bo.allowed).toContain(bo.place?.domain);
    expect(bo.pinCount).toBe(nics.reduce((n, h) => n + h.pins, driverPins));
  }
  apart(all.map(({ bo }) => bo));
  const places = all.flatMap(({ bo }) => bo.place?.blocks ?? []);
  expect(r.exporter.ledger.vramBytes + r.exporter.ledger.gttBytes).toBe(places.reduce((n, b) => n + b.sizeBytes, 0));
}

function apart(bos: readonly BufferObject[]): void {
  for (const domain of ["vram", "gtt"]) {
    const blocks: readonly Block[] = bos.flatMap(({ place }) => (place?.domain === domain ? place.blocks : []));
    const sorted = blocks.toSorted((a, b) => a.start - b.start);
    for (const [i, b] of sorted.entries())
      expect(b.start + b.sizeBytes).toBeLessThanOrEqual(sorted[i + 1]?.start ?? Infinity);
  }
}

function act(r: Rig, shared: Shared, id: VariantId, { what, nic: index, peer2peer }: Step): void {
  const { bo, buf, nics } = shared;
  const held = nics[index % Math.max(1, nics.length)];
  const pins = id !== "vma";
  const does: Record<Step["what"], () => void> = {
    attach() {
      const nic = new Nic(r, { peer2peer });
      r.run(nic.attach(buf));
      nics.push({ nic, pins: 0 });
    },
    detach: () => held && detach(r, shared, held),
    use: () => held && r.run(held.nic.use()),
    pin() {
      if (!held || !pins) return;
      r.run(held.nic.pin());
      held.pins++;
    },
    unpin: () => held && held.pins > 0 && unpin(r, held),
    evict: () => r.run(r.exporter.evict(bo)),
    back: () => r.run(r.exporter.move(bo, "vram")),
    read: () => r.run(r.fw.beginAccess(buf, "from-device")),
    "driver-pin"() {
      r.run(r.exporter.pin(bo));
      shared.driverPins++;
    },
    "driver-unpin"() {
      if (shared.driverPins === 0) return;
      r.run(r.exporter.unpin(bo));
      shared.driverPins--;
    },
  };
  does[what]();
}

function unpin(r: Rig, held: Held): void {
  r.run(held.nic.unpin());
  held.pins--;
}

function detach(r: Rig, { nics }: Shared, held: Held): void {
  while (held.pins > 0) unpin(r, held);
  r.run(held.nic.detach());
  nics.splice(nics.indexOf(held), 1);
}

function giveBack(r: Rig, shared: Shared): void {
  for (let held = shared.nics[0]; held; held = shared.nics[0]) detach(r, shared, held);
  for (; shared.driverPins > 0; shared.driverPins--) r.run(r.exporter.unpin(shared.bo));
  r.run(r.fw.put(shared.buf));
}
