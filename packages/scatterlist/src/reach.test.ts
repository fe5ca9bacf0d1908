import { refusal } from "@dma-buf/config/refusal";
import { RecordingHost } from "@dma-buf/conformance";
import { addr, type Device, type DmaMapAttributes, type Run } from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import { reachAnnotated, reachAsMapped, reachByFrame } from "./index.js";

const attributes = { cache: "uc", snoop: false } as const;
const extent = { offset: 0x2000, sizeBytes: 0x1000, address: addr<never>(0x9000) };
const dma: Run = { kind: "dma", ...extent };
const frame: Run = { kind: "cpu-physical", ...extent, attributes: null };
const bus = (bridge: object): Run => ({ kind: "pci-bus", ...extent, bridge, attributes });
const fabric: Run = { kind: "device-private", ...extent, fabric: {}, attributes };

const spaceOf = ({ spaces }: Device, kind: string): never => spaces.find((s) => s.kind === kind) as never;

describe("as the exporter mapped it", () => {
  it("is used as it is, and nothing is given back", () => {
    const { address, release } = reachAsMapped(dma);
    release();
    expect(address).toBe(0x9000);
  });

  it.each([frame, bus({}), fabric])("$kind is no address that was mapped for it", (run) =>
    expect(refusal(() => reachAsMapped(run))).toBe("EOPNOTSUPP@map"),
  );
});

describe("by frame", () => {
  it.each([true, false])("maps with its own DMA API, and unmaps alike: is RAM %s", (ram) => {
    const { device, translate, ...host } = recorded();
    const asked: number[] = [];
    const isRam = (physical: number): boolean => (asked.push(physical), ram);
    const { address, release } = reachByFrame(device, "to-device", { isRam })(frame);
    expect([address === 0x9000, translate(address), host.liveMappings()]).toEqual([false, 0x9000, 1]);
    release();
    expect([host.liveMappings(), asked]).toEqual([0, [0x9000]]);
    const mmio = { mmio: !ram };
    expect(host.calls).toEqual([
      ["map", "to-device", mmio],
      ["unmap", mmio],
    ]);
  });

  it.each([dma, bus({}), fabric])("$kind is no page frame", (run) => {
    const { device, liveMappings } = recorded();
    expect(refusal(() => reachByFrame(device, "bidirectional", { isRam: () => true })(run))).toBe("EOPNOTSUPP@map");
    expect(liveMappings()).toBe(0);
  });

  it("what its DMA API refuses goes on", () => {
    const { device } = new RecordingHost("full", { mapFails: () => true });
    expect(refusal(() => reachByFrame(device, "bidirectional", { isRam: () => true })(frame))).toBe("ENOMEM@map");
  });
});

describe("annotated", () => {
  it("is used where it is valid for the device: on its bus, in its domain, on a fabric that it is on", () => {
    const { device } = new RecordingHost();
    const { bridge } = spaceOf(device, "pci-bus") as { bridge: object };
    const { domain } = spaceOf(device, "iova") as { domain: object };
    const reach = reachAnnotated({ ...device, spaces: [...device.spaces, { kind: "device-private", fabric: device }] });
    const iova: Run = { kind: "iova", ...extent, domain, attributes };
    for (const run of [bus(bridge), iova, { ...fabric, fabric: device }]) expect(reach(run).address).toBe(0x9000);
  });

  it.each([
    ["another bridge's bus", bus({})],
    ["another domain", { kind: "iova", ...extent, domain: {}, attributes }],
    ["a fabric that it is not on", fabric],
    ["an address that says nothing", dma],
    ["a page frame", frame],
  ] as [string, Run][])("%s is refused", (_name, run) =>
    expect(refusal(() => reachAnnotated(new RecordingHost().device)(run))).toBe("EOPNOTSUPP@map"),
  );
});

/** A device that notes with what it is asked. */
function recorded() {
  const host = new RecordingHost();
  const calls: unknown[] = [];
  const { dma: api } = host.device;
  const device: Device = {
    ...host.device,
    dma: {
      ...api,
      mapPhys(physical, sizeBytes, direction, attrs: DmaMapAttributes) {
        calls.push(["map", direction, attrs]);
        return api.mapPhys(physical, sizeBytes, direction, attrs);
      },
      unmapPhys(address, sizeBytes, attrs) {
        calls.push(["unmap", attrs]);
        api.unmapPhys(address, sizeBytes, attrs);
      },
    },
  };
  return { device, calls, translate: (at: number) => host.translate(at), liveMappings: () => host.liveMappings };
}
