import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import { parseLspci } from "./lspci.js";

const CONTROL = "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n";
const block = (lines: string, header = "01:00.0 VGA compatible controller: X"): string =>
  `${header}\n${CONTROL}${lines}\n\n`;
const first = (text: string) => {
  const { functions, skipped, unknown } = parseLspci(text);
  return { fn: functions[0] as (typeof functions)[0], skipped, what: unknown.map((u) => u.what) };
};

describe("headers", () => {
  it.each([
    [
      "01:00.0 VGA compatible controller [0300]: NVIDIA GP104 [GeForce] [10de:1b80] (rev a1)",
      0x030000,
      "NVIDIA GP104 [GeForce]",
    ],
    ["01:00.0 0300: 10de:1b80 (rev a1)", 0x030000, ""],
    ["01:00.0 Class 0300: 10de:1b80", 0x030000, ""],
    ["01:00.0 Class [0300]: 10de:1b80 (prog-if 01)", 0x030001, ""],
    ["01:00.0 Serial controller [0700]: Device [10de:1b80] (prog-if 02 [16550])", 0x070002, "Device"],
  ])("%s", (header, classCode, name) => {
    const { fn } = first(block("", header));
    expect(fn).toMatchObject({ address: "0000:01:00.0", classCode, name, vendor: 0x10de, device: 0x1b80 });
  });

  it.each(["10000:e0:06.0", "3acd:00:00.0", "0001:00:1f.7"])("the domain of %s", (address) => {
    expect(first(block("", `${address} PCI bridge: X`)).fn.address).toBe(address);
  });

  it("one that is cut is skipped, not guessed", () => {
    const { skipped } = parseLspci(`${block("")}02:00.0 VGA compat\n\n`);
    expect(skipped).toEqual([expect.objectContaining({ text: "02:00.0 VGA compat" })]);
  });
});

describe("BARs", () => {
  it.each([
    [
      "Region 0: Memory at f7400000 (64-bit, non-prefetchable) [size=4M]",
      { bits: 64, enabled: true, sizeBytes: 2 ** 22 },
    ],
    ["Region 0: Memory at f7400000 (32-bit, prefetchable) [disabled] [size=512]", { enabled: false, sizeBytes: 512 }],
    [
      "Region 0: [virtual] Memory at f7400000 (64-bit, prefetchable) [size=1T]",
      { sizeBytes: 2 ** 40, space: "memory" },
    ],
    ["Region 0: [virtual] Memory at 000001f0 (32-bit, non-prefetchable) [size=8]", { space: "io", base: 0x1f0 }],
    ["Region 1: [virtual] Memory at 000003f0 (type 3, non-prefetchable) [size=1]", { space: "io", index: 1 }],
    ["Region 4: I/O ports at 3000 [size=64]", { space: "io", index: 4, sizeBytes: 64 }],
  ])("%s", (line, bar) => {
    const { fn, skipped } = first(block(`\t${line}`));
    expect(fn.bars).toEqual([expect.objectContaining(bar)]);
    expect(skipped).toEqual([]);
  });

  it.each([
    "Region 0: Memory at <unassigned> (32-bit, non-prefetchable) [size=2]",
    "Region 0: Memory at <ignored> (64-bit, non-prefetchable)",
    "Region 1: I/O ports at <unassigned> [disabled]",
    "Expansion ROM at 000c0000 [virtual] [disabled] [size=128K]",
  ])("%s: there is none, and nothing is lost", (line) => {
    expect(first(block(`\t${line}`))).toMatchObject({ fn: { bars: [], unsizedBars: [] }, skipped: [] });
  });

  it("without a size it is unsized, and said to be", () => {
    const { fn, what } = first(block("\tRegion 2: Memory at e0000000 (64-bit, prefetchable)"));
    expect(fn.unsizedBars).toEqual([{ index: 2, space: "memory", base: 0xe000_0000, prefetchable: true, bits: 64 }]);
    expect(what).toContain("the size of BAR 2 of 0000:01:00.0");
  });

  it.each([
    "Region 0: Memory at e00",
    "Region 0: Memory at e0000000 (64-b",
    "Region 9",
    "Memory at",
    "I/O ports at 30",
  ])("%s is skipped: half a number is none", (line) => {
    const { fn, skipped } = first(block(`\t${line}`));
    expect(fn).toMatchObject({ bars: [], unsizedBars: [] });
    expect(skipped).toEqual([expect.objectContaining({ where: "line 3", text: line })]);
  });

  it("of one function in two places are not both believed", () => {
    const region = (base: string): string => block(`\tRegion 0: Memory at ${base} (32-bit, prefetchable) [size=1M]`);
    const { fn, skipped } = first(region("e0000000") + region("f0000000"));
    expect(fn.bars.map((bar) => bar.base)).toEqual([0xe000_0000]);
    expect(skipped).toEqual([expect.objectContaining({ text: expect.stringContaining("f0000000") as string })]);
    expect(first(region("e0000000") + region("e0000000")).skipped).toEqual([]);
  });

  it("a seventh is none: a function has six", () => {
    const { fn, skipped } = first(block("\tRegion 6: Memory at e0000000 (64-bit, prefetchable) [size=1M]"));
    expect([fn.bars, skipped.length]).toEqual([[], 1]);
  });

  it("those of VFs are not the function's own", () => {
    const { fn } = first(
      block(
        "\tRegion 0: Memory at e0000000 (64-bit, prefetchable) [size=1M]\n" +
          "\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n" +
          "\t\tInitial VFs: 8, Total VFs: 8, Number of VFs: 2, Function Dependency Link: 00\n" +
          "\t\tVF offset: 8, stride: 1, Device ID: 1016\n" +
          "\t\tRegion 0: Memory at 0000010004800000 (64-bit, prefetchable)\n" +
          "\t\tRegion 2: Memory at 0000000000000000 (64-bit, prefetchable)\n" +
          "\t\tVF Migration: offset: 00000000, BIR: 0\n" +
          "\tKernel driver in use: mlx5_core",
      ),
    );
    expect(fn.bars.map((bar) => bar.index)).toEqual([0]);
    expect(fn.unsizedBars).toEqual([expect.objectContaining({ index: 7, base: 0x100_0480_0000 })]);
  });

  it("VFs know their PF", () => {
    const sriov =
      "\tCapabilities: [160 v1] Single Root I/O Virtualization (SR-IOV)\n" +
      "\t\tInitial VFs: 8, Total VFs: 8, Number of VFs: 2, Function Dependency Link: 00\n" +
      "\t\tVF offset: 255, stride: 2, Device ID: 1016";
    const vf = (address: string): string =>
      block("\tCapabilities: [60] Express (v2) Endpoint, MSI 00", `${address} Ethernet: VF`);
    const { functions } = parseLspci(block(sriov) + vf("01:1f.7") + vf("02:00.1") + vf("02:00.3"));
    expect(functions.map((fn) => fn.physfn)).toEqual([null, "0000:01:00.0", "0000:01:00.0", null]);
  });
});

describe("lspci -v", () => {
  const text =
    "01:00.0 VGA compatible controller: X\n\tFlags: bus master, fast devsel, latency 0, IRQ 17, NUMA node 2, IOMMU group 5\n" +
    "\tMemory at 8f000000 (32-bit, non-prefetchable) [size=16M]\n\tMemory at 6050000000 (64-bit, prefetchable) [size=256M]\n" +
    "\tI/O ports at 3000 [size=128]\n\tCapabilities: [60] Express Endpoint, MSI 00\n\tCapabilities: [140] Access Control Services\n\n";

  it("has BARs in order, and says that their numbers are counted", () => {
    const { fn, what } = first(text);
    expect(fn.bars.map((bar) => bar.index)).toEqual([0, 1, 3]);
    expect(what).toContain("the BAR numbers of 0000:01:00.0");
  });

  it("has flags, group and node, and no ACS that it could show", () => {
    expect(first(text).fn).toMatchObject({
      busMaster: true,
      memoryEnabled: true,
      iommuGroup: 5,
      numaNode: 2,
      acs: "unknown",
    });
  });

  it("marks every BAR of a function whose memory is off", () => {
    expect(first(text.replaceAll(") [size", ") [disabled] [size")).fn.memoryEnabled).toBe(false);
  });
});

describe("bridges", () => {
  const windows = (line: string) =>
    first(block(`\tBus: primary=01, secondary=02, subordinate=0f, sec-latency=0\n\t${line}`)).fn.bridge?.windows;

  it.each([
    ["Memory behind bridge: dc000000-ddffffff", [{ kind: "memory", base: 0xdc00_0000, sizeBytes: 2 ** 25 }]],
    ["I/O behind bridge: 3000-3fff [size=4K] [16-bit]", [{ kind: "io", base: 0x3000, sizeBytes: 4096 }]],
    [
      "Prefetchable memory behind bridge: 6000000000-6201ffffff [size=8224M] [32-bit]",
      [{ kind: "prefetchable", base: 0x60_0000_0000, sizeBytes: 8224 * 2 ** 20 }],
    ],
    ["Memory behind bridge: None", []],
    ["Memory behind bridge: [disabled] [32-bit]", []],
    ["Memory behind bridge: fff00000-000fffff [disabled]", []],
    ["Memory behind bridge: 0000e000-0000efff [empty]", []],
    ["Prefetchable memory behind bridge: fffffffffff00000-00000000000fffff [disabled]", []],
    ["Prefetchable memory behind bridge: 00000000-000fffff [size=1M]", []],
    ["Memory window 0: 50000000-53fff000 (prefetchable)", [{ kind: "memory", base: 0x5000_0000, sizeBytes: 2 ** 26 }]],
  ])("%s", (line, expected) => expect(windows(line)).toEqual(expected));
});

describe("ports and capabilities", () => {
  it.each([
    ["Express (v2) Root Port (Slot+), MSI 00", "root-port"],
    ["Express Root Port (Slot-) IRQ 0", "root-port"],
    ["Express (v2) Upstream Port, IntMsgNum 0", "upstream-port"],
    ["Express (v2) Downstream Port (Slot+), MSI 00", "downstream-port"],
    ["Express (v1) Legacy Endpoint, MSI 00", "endpoint"],
    ["Express (v2) Root Complex Integrated Endpoint, MSI 00", "integrated"],
    ["Express (v2) Root Complex Event Collector", "integrated"],
    ["Express (v1) PCI-Express to PCI/PCI-X Bridge, MSI 00", "pci-bridge"],
    ["Express (v2) Unknown type, MSI 00", "unknown"],
  ])("%s", (text, portType) => expect(first(block(`\tCapabilities: [40] ${text}`)).fn.portType).toBe(portType));

  it("conventional functions are bridges, inside, or below one", () => {
    const { functions } = parseLspci(
      block("", "00:00.0 Host bridge: X") +
        block("\tBus: primary=00, secondary=01, subordinate=01, sec-latency=32", "00:1e.0 PCI bridge: X") +
        block("", "01:00.0 Ethernet controller: X"),
    );
    expect(functions.map((fn) => fn.portType)).toEqual(["integrated", "pci-bridge", "endpoint"]);
  });

  it.each(["<access denied>", "[100] #0d [0000]", "[148] Access Control Services"])("%s: ACS is unknown", (text) => {
    const { fn, what } = first(block(`\tCapabilities: ${text}`));
    expect(fn.acs).toBe("unknown");
    expect(what).toContain("ACS, ATS and port type of 0000:01:00.0");
  });

  it("ACS and ATS as they are set", () => {
    const { fn } = first(
      block(
        "\tCapabilities: [148 v1] Access Control Services\n" +
          "\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-\n" +
          "\t\tACSCtl:\tSrcValid+ TransBlk- ReqRedir- CmpltRedir+ UpstreamFwd- EgressCtrl- DirectTrans-\n" +
          "\t\tATSCap:\tInvalidate Queue Depth: 1f\n\t\tATSCtl:\tEnable+, Smallest Translation Unit: 00",
      ),
    );
    expect(fn.acs).toMatchObject({ capability: { ReqRedir: true }, control: { ReqRedir: false, CmpltRedir: true } });
    expect(fn.ats).toEqual({ queueDepth: 31, enabled: true });
  });

  it("a slot's Control: is not the function's", () => {
    const lines = "\t\tSltCtl:\tEnable: AttnBtn-\n\t\t\tControl: AttnInd Unknown, Power- Interlock-";
    expect(first(block(lines))).toMatchObject({ fn: { busMaster: true, memoryEnabled: true }, skipped: [] });
  });

  it("a function that is gone has no facts, and says so", () => {
    const text = `${block("")}03:09.4 System peripheral: Ricoh (rev ff) (prog-if ff)\n\t!!! Unknown header type 7f\n\n`;
    expect(parseLspci(text).unknown.map((u) => u.what)).toContain("COMMAND of 0000:03:09.4");
  });
});

describe("what is no capture", () => {
  it.each([
    ["EMPTY", " \n", "is empty"],
    ["BINARY", "\0\0ELF", "not text"],
    ["NO_FUNCTION", "hello\n", "no line begins like"],
    ["NO_FUNCTION", "-[0000:00]-+-00.0  Intel Host\n           +-01.0-[01]----00.0  NVIDIA\n", "lspci -t"],
    ["NO_FUNCTION", "Slot:\t00:02.0\nClass:\tVGA\n", "lspci -m"],
    ["NO_FUNCTION", '00:02.0 "VGA compatible controller" "Intel" "HD"\n', "lspci -m"],
    ["NAMES_ONLY", "00:00.0 Host bridge: X\n01:00.0 VGA compatible controller: Y\n", "names alone"],
  ])("%s: %j", (code, text, message) => {
    let caught: unknown;
    try {
      parseLspci(text, "file.txt");
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(CaptureError);
    expect(caught).toMatchObject({ code });
    expect((caught as Error).message).toMatch(/^file\.txt: .+\. .*lspci/s);
    expect((caught as Error).message).toContain(message);
  });
});
