import { addr, type P2pProvider } from "@dma-buf/core";
import type { Bar } from "@dma-buf/pci";
import { expect, it } from "vitest";
import { BAR, bytes, dmaOf, type Rig, rig } from "./testing.js";

const PORT = "0000:02:01.0";
const providerOf = ({ machine, gpu }: Rig): P2pProvider => machine.provider(gpu, gpu.bars[0] as Bar) as P2pProvider;

it("what is sent after a port's ACS control was written goes by what it says then", () => {
  const r = rig({ iommu: "translated" });
  const write = () => r.run(r.nic.write(dmaOf(BAR), bytes(7))).kind;
  expect(write()).toBe("done");
  r.machine.setAcs(PORT, { ReqRedir: true });
  expect(write()).toBe("fault");
  r.machine.setAcs(PORT, { ReqRedir: false });
  expect(write()).toBe("done");
});

it("a provider's verdict is the one that was computed first, until somebody asks for the distance", () => {
  const r = rig();
  const one = providerOf(r);
  expect(one.verdict(r.nic).mapType).toBe("bus-address");
  r.machine.setAcs(PORT, { ReqRedir: true });
  // Of the function, not of the object.
  const another = providerOf(r);
  expect(another.verdict(r.nic).mapType).toBe("bus-address");
  expect(one.distance?.(r.nic)).toMatchObject({ mapType: "not-supported", distance: -1 });
  expect(another.verdict(r.nic).mapType).toBe("not-supported");
});

it("another machine of the same topology knows nothing of it", () => {
  const r = rig();
  r.machine.setAcs(PORT, { ReqRedir: true });
  expect(providerOf(rig()).verdict(rig().nic).mapType).toBe("bus-address");
  expect(() => r.machine.setAcs(addr(0x1) as unknown as string, {})).toThrow(RangeError);
});
