import { addr, type PhysAddr } from "@dma-buf/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CpuCache } from "./cpu-cache.js";

const at = (physical: number): PhysAddr => addr<PhysAddr>(physical);

function memory(sizeBytes = 256) {
  const bytes = new Uint8Array(sizeBytes);
  const behind = {
    read: (physical: PhysAddr, size: number) => bytes.slice(physical, physical + size),
    write: (physical: PhysAddr, data: Uint8Array) => bytes.set(data, physical),
  };
  return { bytes, cache: new CpuCache(behind) };
}

describe("the caches of a CPU", () => {
  it("keep a store until they are cleaned, and show it to a device that snoops", () => {
    const { bytes, cache } = memory();
    cache.write(at(70), Uint8Array.of(1, 2));
    expect([bytes[70], cache.read(at(70), 2)]).toEqual([0, Uint8Array.of(1, 2)]);
    expect(cache.snoop(at(69), 4)).toEqual(Uint8Array.of(0, 1, 2, 0));
    cache.clean(at(70), 1);
    expect([bytes[70], bytes[71]]).toEqual([1, 2]);
  });

  it("keep what they fetched while a device writes past them, until they are invalidated", () => {
    const { bytes, cache } = memory();
    cache.read(at(0), 1);
    bytes[0] = 9;
    expect(cache.read(at(0), 1)).toEqual(Uint8Array.of(0));
    cache.invalidate(at(0), 1);
    expect(cache.read(at(0), 1)).toEqual(Uint8Array.of(9));
  });

  it("are not there for a CPU alone: what it stored last is what it loads, cleaned or not", () => {
    const act = fc.record({
      do: fc.constantFrom("write", "clean", "invalidate"),
      at: fc.integer({ min: 0, max: 250 }),
      byte: fc.integer({ min: 0, max: 255 }),
    });
    fc.assert(
      fc.property(fc.array(act, { maxLength: 40 }), (acts) => {
        const { cache } = memory();
        const plain = new Uint8Array(256);
        for (const one of acts) {
          if (one.do === "write") cache.write(at(one.at), Uint8Array.of(one.byte));
          else if (one.do === "clean") cache.clean(one.at, 4);
          else cache.invalidate(one.at, 4);
          if (one.do === "write") plain[one.at] = one.byte;
        }
        expect(cache.read(at(0), 256)).toEqual(plain);
        expect(cache.snoop(at(0), 256)).toEqual(plain);
      }),
    );
  });
});
