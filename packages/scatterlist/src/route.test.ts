import { RecordingHost } from "@dma-buf/conformance";
import type { Device, P2pMapType, P2pProvider, P2pVerdict } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { p2pDistance, whyNotByPfn } from "./index.js";

const GIB = 2 ** 30;

const translated = new RecordingHost().device;
const plain: Device = { ...translated, spaces: translated.spaces.filter((s) => s.kind === "pci-bus") };
const verdictOf = (mapType: P2pMapType): P2pVerdict => ({ mapType, distance: 2, reason: "the test says so" });
const provider = (mapType: P2pMapType, busOffsetBytes = 0): P2pProvider => ({
  busOffsetBytes,
  verdict: () => verdictOf(mapType),
});

describe("a route that has changed", () => {
  const changed: P2pProvider = { ...provider("bus-address"), distance: () => verdictOf("not-supported") };

  it("is as it is now, where the host keeps answers", () => {
    expect(p2pDistance(changed, plain).mapType).toBe("not-supported");
    expect(p2pDistance(provider("bus-address"), plain).mapType).toBe("bus-address");
  });

  it("decides by PFN too", () => expect(whyNotByPfn(changed, plain)).toBe("the test says so"));
});

it("why not by PFN", () => {
  expect(whyNotByPfn(null, plain)).toMatch(/no peer-to-peer memory/);
  expect(whyNotByPfn(provider("not-supported"), plain)).toBe("the test says so");
  expect(whyNotByPfn(provider("through-host-bridge", GIB), translated)).toBeNull();
  expect(whyNotByPfn(provider("bus-address", GIB), plain)).toMatch(/adds no bus offset/);
  expect(whyNotByPfn(provider("bus-address"), translated)).toMatch(/gives an IOVA/);
  expect(whyNotByPfn(provider("bus-address"), plain)).toBeNull();
});
