/** Firmware that has an order in mind: what comes of a private mapping that goes while the device's interface runs. */
import { addr, Framework, pfn, type PhysAddr, Scheduler } from "@dma-buf/core";
import { Machine } from "@dma-buf/machine";
import { t2 } from "@dma-buf/pci";
import { describe, expect, it } from "vitest";
import { Judge } from "../judge.js";
import { attest } from "./importers/attest.js";
import { TrustedIo } from "./trusted-io.js";

const KIB = 1024;
const BAR = { base: 0x40_0000_0000, sizeBytes: 1024 * KIB };

/** An interface that runs, locked to VM1. */
function running(platform: string) {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract: pfn, scheduler });
  const { topology, exporter } = t2();
  const machine = new Machine({ topology, trace: fw.trace, iommu: "off", rootComplexForwards: true });
  const judge = new Judge(fw, machine, { exporter, devices: [] });
  const trustedIo = new TrustedIo(machine, judge, platform);
  trustedIo.lock({ device: exporter, owner: "VM1", strangers: "ones", report: [BAR] });
  const device = machine.device(exporter);
  const bytes = new Uint8Array([1, 2, 3]);
  const dma = (): string => {
    scheduler.complete("test", device.write(addr<Parameters<typeof device.write>[0]>(trustedIo.dmaPage), bytes));
    return machine.memory.read(trustedIo.dmaPage, 3).join("");
  };
  const isPrivate = (at: number): boolean => machine.private.secretTo("a stranger", BAR.base + at) !== null;
  return { scheduler, machine, judge, trustedIo, dma, isPrivate };
}

describe("a private mapping goes while the interface runs", () => {
  it("TDX: KVM kills the VM", () => {
    const { judge, trustedIo } = running("TDX");
    trustedIo.unmapped("VM1");
    expect([judge.verdict.verdict, judge.rule.text]).toEqual(["CRASH", expect.stringContaining("KVM kills VM1")]);
  });

  it("SEV-SNP: what the device writes is dropped", () => {
    const { judge, trustedIo, dma } = running("SEV-SNP");
    trustedIo.unmapped("VM1");
    expect([dma(), judge.verdict.verdict]).toEqual(["000", "OK"]);
  });

  it("CCA: the owner's accesses abort", () => {
    const { trustedIo } = running("CCA realm");
    trustedIo.unmapped("VM1");
    expect(trustedIo.abortOf("VM1")).toMatch(/while the interface of .* ran/);
  });

  it.each(["TDX", "SEV-SNP", "CCA realm"])(
    "%s: nothing comes of another VM's, nor of one after the stop",
    (platform) => {
      const { scheduler, judge, trustedIo, dma } = running(platform);
      trustedIo.unmapped("VM2");
      expect([dma(), trustedIo.abortOf("VM1")]).toEqual(["123", null]);
      scheduler.complete("test", trustedIo.stop());
      trustedIo.unmapped("VM1");
      expect([judge.verdict.verdict, trustedIo.abortOf("VM1"), trustedIo.isRunning]).toEqual(["OK", null, false]);
    },
  );

  it("any other platform does not look", () => {
    const { judge, trustedIo, dma } = running("private memory");
    trustedIo.unmapped("VM1");
    expect([judge.verdict.verdict, trustedIo.abortOf("VM1"), dma()]).toEqual(["OK", null, "123"]);
  });
});

it("a part that the owner shares is everybody's, and the rest stays private; after the stop nothing is", () => {
  const { scheduler, trustedIo, isPrivate } = running("TDX");
  trustedIo.share({ base: addr<PhysAddr>(BAR.base + 64 * KIB), sizeBytes: 64 * KIB });
  expect([0, 63, 64, 127, 128, 1023].map((at) => isPrivate(at * KIB))).toEqual([true, true, false, false, true, true]);
  trustedIo.share({ base: addr<PhysAddr>(BAR.base), sizeBytes: 4 * KIB });
  expect([isPrivate(0), isPrivate(4 * KIB)]).toEqual([false, true]);
  scheduler.complete("test", trustedIo.stop());
  expect([0, 128].some((at) => isPrivate(at * KIB))).toBe(false);
});

it.each([
  ["all of it, in two slots", [0, 512], 512, "OK"],
  ["a hole between them", [0, 640], 512, "REFUSED"],
  ["nothing at the end", [0], 512, "REFUSED"],
])("a guest that holds its slots against the report: %s", (_name, at, kib, expected) => {
  const { judge, trustedIo } = running("TDX");
  attest(
    { judge, trustedIo },
    at.map((from) => ({ base: BAR.base + from * KIB, sizeBytes: kib * KIB })),
  );
  expect(judge.verdict.verdict).toBe(expected);
  if (expected === "REFUSED") expect(judge.verdict).toMatchObject({ errno: "GUEST", stage: "guest" });
});
