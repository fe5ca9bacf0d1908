import { describe, expect, it } from "vitest";
import { CaptureError } from "./capture-error.js";
import type { Capture } from "./capture.js";
import { parseLspci } from "./lspci.js";
import { Notes } from "./notes.js";

const CONTROL = "\tControl: I/O+ Mem+ BusMaster+ SpecCycle-\n";
const BRIDGE = `00:01.0 PCI bridge: X\n${CONTROL}\tBus: primary=00, secondary=01, subordinate=01, sec-latency=0\n`;
const first = ({ functions }: Capture) => functions[0] as Capture["functions"][0];
const named = ({ unknown }: Capture) => unknown.map((u) => u.what);
const skippedTexts = ({ skipped }: Capture) => skipped.map((s) => s.text);

describe("ACS", () => {
  const CAP = "ACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-";
  const CTL = CAP.replace("Cap", "Ctl");
  const acs = (cap: string, ctl: string): Capture =>
    parseLspci(`${BRIDGE}\t\t${cap}\n\t\t${ctl}\n\tKernel driver in use: pcieport\n\n`);

  it("is known where all seven names have a sign", () => {
    expect(first(acs(CAP, CTL)).acs).toMatchObject({ capability: { DirectTrans: false }, control: { ReqRedir: true } });
  });

  it.each([
    [CAP, "ACSCtl:\tSrcValid+ TransBlk-"],
    [CAP, CTL.replace("DirectTrans", "Dir\nectTrans")],
    [CAP, CTL.replace("ReqRedir+", "ReqRedir")],
    [CAP, "ACSCt"],
    ["ACSCap:\tSrcValid+", CTL],
  ])("%s %s: a bit that is cut off is not one that is off", (cap, ctl) => {
    const capture = acs(cap, ctl);
    expect(first(capture).acs).toBe("unknown");
    expect(named(capture)).toContain("ACS, ATS and port type of 0000:00:01.0");
    expect(skippedTexts(capture)).toEqual([expect.stringMatching(/^ACSC/)]);
  });

  it.each([
    ["ATSCap:\tInvalidate Queue Depth: 0", "ATSCtl:\tEnable+, Smallest Translation Unit: 00"],
    ["ATSCap:\tInvalidate Queue Depth: 00", "ATSCtl:\tEna"],
    ["ATSCap:\tInvali", "ATSCtl"],
  ])("ATS likewise: %s %s", (cap, ctl) => {
    const capture = acs(cap, ctl);
    expect(first(capture).ats).toBe("unknown");
    expect(skippedTexts(capture)).not.toEqual([]);
  });
});

it("ACS of which both lines are cut is not absent", () => {
  const lines = "\t\tACSCap:\tSrcValid+\n\t\tACSCtl:\tSrcValid+ TransBlk-\n\tKernel modules: x\n";
  expect(first(parseLspci(`${BRIDGE}${lines}\n`)).acs).toBe("unknown");
});

it("half of ATS, the other line being lost, is unknown", () => {
  expect(first(parseLspci(`${BRIDGE}\t\tATSCtl:\tEnable+, Smallest\n\tKernel modules: x\n\n`)).ats).toBe("unknown");
});

describe("windows", () => {
  const windows = (line: string): Capture => parseLspci(`${BRIDGE}\t${line}\n\tKernel driver in use: pcieport\n\n`);

  it.each([
    "Memory behind bridge: 77f00000-77f",
    "Memory behind bridge: 77f00000-",
    "Memory behind bridge: 77f00000-780fffff [si",
    "Memory behind brid",
    "Prefetchable memory beh",
    "I/O behind bridge: 30",
    "I/O behind bridge:",
    "Memory behind bridge: Non",
    "Memory window 0: 50000000-53fff",
    "Memory window 0: 5000",
  ])("%s: neither open nor closed", (line) => {
    const capture = windows(line);
    expect(first(capture).bridge?.windows).toEqual([]);
    expect(skippedTexts(capture)).toEqual([line]);
    expect(named(capture)).toContain("the windows of 0000:00:01.0");
  });

  it.each(["Memory behind bridge: None", "Memory behind bridge: [disabled] [32-bit]"])("%s is closed", (line) => {
    const capture = windows(line);
    expect(skippedTexts(capture)).toEqual([]);
    expect(named(capture)).not.toContain("the windows of 0000:00:01.0");
  });

  it("that cross 4 GiB are not padded alike, and whole", () => {
    const line = "Prefetchable memory behind bridge: f0000000-10fffffff [size=512M] [32-bit]";
    expect(first(windows(line)).bridge?.windows).toMatchObject([{ base: 0xf000_0000, sizeBytes: 2 ** 29 }]);
  });
});

it.each(["", "\tBus: primary=00, secondary=01, subordin\n"])("a bridge with %j for buses is one, and named", (line) => {
  const capture = parseLspci(`00:01.0 PCI bridge: X\n${CONTROL}${line}\tKernel driver in use: pcieport\n\n`);
  expect(named(capture)).toContain("the buses of 0000:00:01.0");
  expect(named(parseLspci(`${BRIDGE}\n`))).not.toContain("the buses of 0000:00:01.0");
});

describe("COMMAND", () => {
  const control = (lines: string): Capture =>
    parseLspci(`01:00.0 VGA compatible controller: X\n${lines}\tCapabilities: [60] Express Endpoint, MSI 00\n\n`);

  it.each(["", "\tControl: I/O+ Me\n", "\tControl: I/O+ Mem+ BusMas\n"])("%j: taken as on, and named", (lines) => {
    const capture = control(lines);
    expect(first(capture)).toMatchObject({ busMaster: true, memoryEnabled: true });
    expect(named(capture)).toContain("COMMAND of 0000:01:00.0");
    expect(skippedTexts(capture)).toEqual(lines === "" ? [] : [lines.trim()]);
  });

  it.each([
    ["Mem- BusMaster+", { busMaster: true, memoryEnabled: false }],
    ["Mem+ BusMaster-", { busMaster: false, memoryEnabled: true }],
  ])("%s is what it says", (bits, expected) => {
    const capture = control(`\tControl: I/O- ${bits} SpecCycle-\n`);
    expect(first(capture)).toMatchObject(expected);
    expect(named(capture)).not.toContain("COMMAND of 0000:01:00.0");
  });

  it("of `lspci -v` is in Flags:", () => {
    expect(first(control("\tFlags: fast devsel, IRQ 17\n"))).toMatchObject({ busMaster: false, memoryEnabled: false });
  });
});

describe("lines before the first function", () => {
  const after = (lines: string): Capture => parseLspci(`${lines}\n${BRIDGE}\n`);

  it("that are about one are counted", () => {
    const capture = after("\tRegion 0: Memory at f7400000 (64-bit, prefetchable) [size=4M]\n00: 86 80\nhello");
    expect(capture.skipped).toEqual([
      {
        where: "line 1",
        text: expect.stringMatching(/^Region 0/) as string,
        because: expect.stringMatching(/^2 lines /) as string,
      },
    ]);
  });

  it("that are not are nobody's", () => expect(after("Hi,\n\nhere it is:").skipped).toEqual([]));

  it("may be a browser's", () => {
    const capture = parseLspci(`<pre class="x">${BRIDGE}\n</pre>`);
    expect([capture.functions.length, capture.skipped]).toEqual([1, []]);
  });
});

describe("numbers", () => {
  it.each([
    "IOMMU group: 99999999999999999999",
    "NUMA node: 99999999999999999999",
    "Flags: fast devsel, IOMMU group 99999999999999999999",
    "Initial VFs: 8, Total VFs: 8, Number of VFs: 65536, Function Dependency Link: 00",
  ])("%s is none", (line) => {
    const capture = parseLspci(`${BRIDGE}\t${line}\n\n`);
    expect(first(capture)).toMatchObject({ iommuGroup: null, numaNode: null });
    expect(skippedTexts(capture)).toEqual([line]);
  });

  it("in capitals are the same", () => {
    const text =
      `10000:0A:00.0 VGA compatible controller [0300]: X [10DE:1B8A]\n${CONTROL}` +
      "\tRegion 0: Memory at FA000000 (32-bit, prefetchable) [size=1M]\n\n";
    const { bars, ...fn } = first(parseLspci(text));
    expect(fn).toMatchObject({ address: "10000:0a:00.0", device: 0x1b8a });
    expect(bars).toMatchObject([{ base: 0xfa00_0000 }]);
  });

  it("of a BAR that stands at two addresses: the reason says so", () => {
    const region = (base: string): string => `\tRegion 0: Memory at ${base} (32-bit, prefetchable) [size=1M]\n`;
    const { skipped } = parseLspci(`${BRIDGE}${region("e0000000")}${region("f0000000")}\n`);
    expect(skipped).toEqual([
      expect.objectContaining({ because: expect.stringContaining("another address") as string }),
    ]);
  });
});

describe("domains", () => {
  it("of any number of zeros are one: a loop is one", () => {
    const bridge = (address: string, from: string, to: string): string =>
      `${address} PCI bridge: X\n${CONTROL}\tBus: primary=${from}, secondary=${to}, subordinate=${to}, sec-latency=0\n\n`;
    const text = bridge("0000:01:00.0", "01", "02") + bridge("00000:02:00.0", "02", "01");
    expect(() => parseLspci(text)).toThrow(CaptureError);
    expect(() => parseLspci(text)).toThrow(/loop: 0000:02:00\.0/);
  });
});

it("a VF that counts from its PF's own address is not its own PF", () => {
  const sriov =
    "\t\tInitial VFs: 1, Total VFs: 1, Number of VFs: 1, Function Dependency Link: 00\n" +
    "\t\tVF offset: 0, stride: 1, Device ID: 1016\n";
  expect(first(parseLspci(`${BRIDGE}${sriov}\n`)).physfn).toBeNull();
});

it("a VF on a bus of its own has its PF's root, and that bus is none", () => {
  const sriov =
    "\t\tInitial VFs: 1, Total VFs: 1, Number of VFs: 1, Function Dependency Link: 00\n" +
    "\t\tVF offset: 256, stride: 1, Device ID: 1016\n";
  const text = `${BRIDGE}\n01:00.0 Ethernet: PF\n${CONTROL}${sriov}\n02:00.0 Ethernet: VF\n${CONTROL}\n`;
  const roots = named(parseLspci(text)).filter((what) => /root 0|above bus/.test(what));
  expect(roots).toEqual(["the bus offset of root 0000:00"]);
});

it("nothing of a capture commands a terminal", () => {
  const text =
    `00:01.0 \u001b[31mPCI\u001b[0m bridge: A\u001b]0;owned\u0007B\u009b2J\n${CONTROL}` +
    "\tRegion 0: Memory at \u001b]f\n\tKernel driver in use: e\u001bvil\n\n";
  const capture = parseLspci(text, "a\u001bb");
  expect(first(capture)).toMatchObject({ className: "PCI bridge", driver: "evil" });
  expect(JSON.stringify(capture)).not.toMatch(/\\u00[01]|[\u007f-\u009f]/);
  expect(capture.skipped).toHaveLength(1);
  expect(new CaptureError("JSON", "a\u001bb", "c", "d").message).toBe("ab: c. d");
});

it("notes hold no control character, wherever they come from", () => {
  const notes = new Notes("x");
  notes.skip("a\u001bb", "c\u009bd", "why");
  notes.lacks("e\u0007f", "why", "how");
  expect(notes.skipped).toEqual([{ where: "ab", text: "cd", because: "why" }]);
  expect(notes.unknown).toEqual([{ what: "ef", because: "why", capture: "how" }]);
});

it("reads 20,000 functions", () => {
  const device = (i: number): string => {
    const [domain, bus, slot, fn] = [i >> 16, (i >> 8) & 0xff, (i >> 3) & 0x1f, i & 7].map((n) => n.toString(16));
    return `${domain?.padStart(4, "0")}:${bus?.padStart(2, "0")}:${slot?.padStart(2, "0")}.${fn} Ethernet: X\n${CONTROL}\n`;
  };
  const textOf = (count: number): string => Array.from({ length: count }, (_, i) => device(i)).join("");
  expect(parseLspci(textOf(20_000)).functions).toHaveLength(20_000);
});
