import { describe, expect, it } from "vitest";
import { parseCapture } from "../node.js";
import type { Capture } from "./capture.js";
import { HEX_DESKTOP, HEX_LAPTOP, LAPTOP, machine } from "./testing.js";

const count = (text: string, pattern: RegExp): number => text.match(pattern)?.length ?? 0;
const addresses = (text: string): string[] => text.match(/^[0-9a-f]{2}:[0-9a-f]{2}\.\d(?= )/gm) ?? [];
const at = (capture: Capture, address: string) => capture.functions.find((fn) => fn.address === address);
const unknown = (capture: Capture): string => capture.unknown.map((u) => u.what).join("\n");

describe("a laptop's lspci -vvv", () => {
  const capture = parseCapture(machine("laptop-nvidia-optane.lspci.txt"), "laptop");

  it("has every function, and nothing is skipped", () => {
    expect(capture.functions.map((fn) => fn.address.slice(5))).toEqual(addresses(LAPTOP));
    expect(capture).toMatchObject({ format: "lspci", skipped: [] });
  });

  it("has as many BARs, windows, bridges, ACS and ATS as lines say", () => {
    const all = capture.functions;
    expect(all.flatMap((fn) => [...fn.bars, ...fn.unsizedBars])).toHaveLength(count(LAPTOP, /^\tRegion \d/gm));
    expect(all.flatMap((fn) => fn.bridge?.windows ?? [])).toHaveLength(
      count(LAPTOP, /behind bridge: (?!00000000-000fffff)[0-9a-f]+-[0-9a-f]+ \[size/g),
    );
    expect(all.filter((fn) => fn.bridge)).toHaveLength(count(LAPTOP, /Bus: primary/g));
    expect(all.filter((fn) => fn.acs)).toHaveLength(count(LAPTOP, /ACSCtl/g));
    expect(all.filter((fn) => fn.ats)).toHaveLength(count(LAPTOP, /ATSCtl/g));
    expect(all.filter((fn) => fn.iommuGroup !== null)).toHaveLength(count(LAPTOP, /IOMMU group/g));
    expect(all.filter((fn) => fn.driver)).toHaveLength(count(LAPTOP, /Kernel driver/g));
  });

  it("has the GPU as it is printed", () => {
    expect(at(capture, "0000:01:00.0")).toMatchObject({
      className: "VGA compatible controller",
      portType: "endpoint",
      multiFunction: true,
      driver: "nvidia",
      bars: [
        { index: 0, space: "memory", base: 0x8f00_0000, sizeBytes: 2 ** 24, bits: 32, prefetchable: false },
        { index: 1, space: "memory", base: 0x60_5000_0000, sizeBytes: 2 ** 28, bits: 64, prefetchable: true },
        { index: 3, space: "memory", base: 0x60_6000_0000, sizeBytes: 2 ** 25, bits: 64, prefetchable: true },
        { index: 5, space: "io", base: 0x3000, sizeBytes: 128 },
      ],
    });
  });

  it("says what such text does not", () => {
    for (const what of ["forwards peer requests", "default domains", "bus offset of root 0000:00", "CPU", "kernel"])
      expect(unknown(capture)).toContain(what);
    expect(capture.host).toMatchObject({ iommu: "on", cpu: null, kernelRelease: null });
  });
});

describe("a laptop's lspci -vvvxxxx", () => {
  const capture = parseCapture(HEX_LAPTOP, "hex laptop");

  it("has every function, and bytes that agree with the text", () => {
    expect(capture.functions.map((fn) => fn.address.slice(5))).toEqual(addresses(HEX_LAPTOP));
    expect(capture).toMatchObject({ format: "lspci-hex", skipped: [] });
  });

  it("has sizes from the text, and from the bytes that the bus counts as the CPU does", () => {
    expect(capture.functions.flatMap((fn) => fn.bars.filter((bar) => bar.index <= 5))).toHaveLength(
      count(HEX_LAPTOP, /^\tRegion \d/gm),
    );
    expect(capture.host.busOffsets).toEqual(new Map([["0000:00", 0]]));
  });

  it("has a root port's registers: IDs, ACS and windows", () => {
    expect(at(capture, "0000:00:01.0")).toMatchObject({
      vendor: 0x8086,
      device: 0x460d,
      classCode: 0x060400,
      portType: "root-port",
      multiFunction: true,
      acs: { control: { SrcValid: true, TransBlk: false, ReqRedir: true, UpstreamFwd: true } },
    });
  });

  it("says that it is cut", () => expect(unknown(capture)).toContain("what else is in 0000:2e:00.0"));
});

describe("the same laptop's bytes without its text", () => {
  const bytes = HEX_LAPTOP.split("\n").filter((line) => !/^\s+\S/.test(line));
  const [text, hex] = [HEX_LAPTOP, bytes.join("\n")].map((t) => parseCapture(t, "laptop")) as [Capture, Capture];
  // The text's last function has no bytes.
  const both = hex.functions.slice(0, -1).map((fn, i) => [fn, text.functions[i] as Capture["functions"][0]] as const);

  it.each(["address", "portType", "acs", "ats", "bridge", "busMaster", "memoryEnabled"] as const)(
    "agrees with it about each function's %s",
    (key) => {
      const sorted = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
      for (const [fromBytes, fromText] of both) expect(sorted(fromBytes[key])).toEqual(sorted(fromText[key]));
    },
  );

  it("has the BARs that the text has, without their sizes", () => {
    // A function in D3 reads as zeros; the kernel knows better.
    const awake = both.filter(([fn]) => fn.address !== "0000:00:15.1");
    expect(awake).toHaveLength(both.length - 1);
    for (const [fromBytes, fromText] of awake) {
      expect(fromBytes.bars).toEqual([]);
      const own = fromBytes.unsizedBars.filter((bar) => bar.index <= 5);
      expect(own).toEqual(
        fromText.bars.filter((b) => b.index <= 5).map(({ sizeBytes: _s, enabled: _e, ...bar }) => bar),
      );
    }
  });
});

describe("a desktop's lspci -xxxx", () => {
  const capture = parseCapture(HEX_DESKTOP, "desktop");

  it("has every function, and nothing is skipped", () => {
    expect(capture.functions.map((fn) => fn.address.slice(5))).toEqual(addresses(HEX_DESKTOP));
    expect(capture).toMatchObject({ format: "lspci-hex", skipped: [] });
  });

  it("has the switch: two ports below one", () => {
    expect(["02:00.0", "03:00.0", "03:02.0"].map((a) => at(capture, `0000:${a}`)?.portType)).toEqual([
      "upstream-port",
      "downstream-port",
      "downstream-port",
    ]);
  });

  it("has addresses and no sizes, and says so", () => {
    expect(at(capture, "0000:06:00.0")?.bars).toEqual([]);
    // cc00000c at 0x14 in the text: 64 bits, prefetchable.
    expect(at(capture, "0000:06:00.0")?.unsizedBars[1]).toMatchObject({ index: 1, bits: 64, prefetchable: true });
    expect(unknown(capture)).toContain("the size of BAR 0, 1, 3, 5 of 0000:06:00.0");
  });

  it("has ACS where the bytes have the capability, and nowhere else", () => {
    const ids = count(HEX_DESKTOP, /^[0-9a-f]{2}0: 0d 00 01 /gm);
    expect(ids).toBeGreaterThan(0);
    expect(capture.functions.filter((fn) => fn.acs !== null && fn.acs !== "unknown")).toHaveLength(ids);
  });
});

describe("a server's sysfs in a tar.bz2", () => {
  const capture = parseCapture(machine("server-2socket-2gpu.sysfs.tar.bz2"), "server");

  it("has 37 functions below two roots", () => {
    expect(capture).toMatchObject({ format: "sysfs", skipped: [] });
    expect(capture.functions).toHaveLength(37);
    expect([...capture.host.busOffsets.keys()]).toEqual(["0000:00", "0000:40"]);
    expect(unknown(capture)).not.toContain("the bridge above");
  });

  it("has resources, driver and IDs", () => {
    expect(at(capture, "0000:02:00.0")).toMatchObject({
      vendor: 0x14e4,
      device: 0x1639,
      classCode: 0x020000,
      driver: "bnx2",
      bars: [{ index: 0, space: "memory", base: 0xc600_0000, sizeBytes: 2 ** 25, bits: 64, enabled: true }],
    });
    expect(at(capture, "0000:00:05.0")?.bridge).toMatchObject({ primary: 0, secondary: 2, subordinate: 2 });
  });

  it("knows the CPU, and not what 64 bytes of config do not hold", () => {
    expect(capture.host).toMatchObject({ cpu: { vendor: "GenuineIntel", family: 6, model: 47 }, kernelRelease: null });
    expect(at(capture, "0000:00:05.0")).toMatchObject({ acs: "unknown", ats: "unknown", portType: "unknown" });
    expect(unknown(capture)).toContain("ACS, ATS and port type of 0000:00:05.0");
  });
});
