/** What the DMA API is told of a BAR: it is MMIO, so nothing is bounced and no cache is kept in step. */
import { annotatedAddress, type Device, type DmaApi, dmaAddress, type DmaMapAttributes, linux73 } from "@dma-buf/core";
import { RecordingHost } from "@dma-buf/conformance";
import { expect, it } from "vitest";
import * as annotatedAddressVariant from "./annotated-address.js";
import * as dmaAddressVariant from "./dma-address.js";
import * as linux73Variant from "./linux-7.3.js";
import { fakeHost, kit, PAGE, TestImporter } from "./testing.js";

/** Who maps one by one, or all in one IOVA; `told` are the attributes of each call. */
function listening(oneByOne: boolean): { readonly device: Device; readonly told: DmaMapAttributes[] } {
  const { device } = new RecordingHost("peer", { mapFails: (op) => oneByOne && op === "dma_iova_try_alloc" });
  const told: DmaMapAttributes[] = [];
  const dma: DmaApi = {
    ...device.dma,
    mapPhys(physical, sizeBytes, direction, attributes) {
      told.push(attributes);
      return device.dma.mapPhys(physical, sizeBytes, direction, attributes);
    },
    unmapPhys(address, sizeBytes, attributes) {
      if (attributes) told.push(attributes);
      device.dma.unmapPhys(address, sizeBytes, attributes);
    },
    tryAllocIova(physical, sizeBytes) {
      const state = device.dma.tryAllocIova(physical, sizeBytes);
      const link: NonNullable<typeof state>["link"] = (offset, from, linkedBytes, direction, attributes) => {
        told.push(attributes);
        state?.link(offset, from, linkedBytes, direction, attributes);
      };
      return state && Object.assign(Object.create(state) as typeof state, { link });
    },
  };
  return { device: { ...device, dma }, told };
}

const VARIANTS = [
  ["dma-address", dmaAddressVariant.vfioExporter, dmaAddress],
  ["annotated-address", annotatedAddressVariant.vfioExporter, annotatedAddress],
  ["linux-7.3", linux73Variant.vfioExporter, linux73],
] as const;

it.each(VARIANTS.flatMap((v) => [[...v, true] as const, [...v, false] as const]))(
  "%s: every piece of it is mapped, and unmapped, as MMIO",
  (_id, factory, contract, oneByOne) => {
    const host = Object.assign(fakeHost(), { verdict: { mapType: "through-host-bridge" } as const });
    const k = kit(factory, { contract, host });
    const ranges = [0, 2].map((page) => ({ offset: page * PAGE, length: PAGE }));
    const { device, told } = listening(oneByOne);
    const importer = new TestImporter(k.fw);
    const at = k.run(importer.attach(k.run(k.exporter.export({ regionIndex: 0, ranges })), device));
    k.run(importer.map(at));
    k.run(importer.unmap(at));
    expect(told.map((attributes) => attributes.mmio)).toEqual(Array.from({ length: oneByOne ? 4 : 2 }, () => true));
  },
);
