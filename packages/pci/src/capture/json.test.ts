import { describe, expect, it } from "vitest";
import { parseCapture } from "../node.js";
import { CaptureError } from "./capture-error.js";
import { captureFromJson, captureToJson } from "./json.js";
import { HEX_DESKTOP, HEX_LAPTOP, LAPTOP, machine } from "./testing.js";

const capture = parseCapture(LAPTOP, "laptop.txt");
const GPU = capture.functions.findIndex((fn) => fn.address === "0000:01:00.0");

/** The laptop with the value at `path` replaced. */
function edited(path: readonly (string | number)[], value: unknown): string {
  const top = JSON.parse(captureToJson(capture)) as Record<string | number, unknown>;
  const at = path.slice(0, -1).reduce((object, key) => object[key] as typeof top, top);
  at[path.at(-1) as string] = value;
  return JSON.stringify(top);
}

function messageOf(text: string): string {
  try {
    captureFromJson(text, "c.json");
    return "read";
  } catch (error) {
    expect(error).toBeInstanceOf(CaptureError);
    return (error as Error).message;
  }
}

describe("a capture written and read", () => {
  it.each([
    ["lspci", LAPTOP],
    ["lspci with bytes", HEX_LAPTOP],
    ["bytes", HEX_DESKTOP],
    ["sysfs", machine("server-2socket-2gpu.sysfs.tar.bz2")],
  ])("%s is the same", (_what, bytes) => {
    const before = parseCapture(bytes, "before");
    expect(captureFromJson(captureToJson(before))).toEqual(before);
    expect(parseCapture(captureToJson(before), "after.json")).toEqual(before);
  });

  it("keeps the host: CPU, kernel, domains, offsets of either sign", () => {
    const host = {
      cpu: { vendor: "AuthenticAMD", family: 25, model: 1 },
      kernelRelease: "6.8.0",
      commandLine: "ro",
      iommu: "off",
      domainTypes: new Map([
        [0, "DMA"],
        [12, "identity"],
      ]),
      busOffsets: new Map([
        ["0000:00", 0],
        ["10000:e0", -4096],
      ]),
    } as const;
    expect(captureFromJson(captureToJson({ ...capture, host })).host).toEqual(host);
  });

  it("has one spelling of an address, and no text that commands a terminal", () => {
    const read = captureFromJson(edited(["functions", 0, "address"], "000000:00:00.0"));
    expect(read.functions[0]?.address).toBe("0000:00:00.0");
    expect(captureFromJson(edited(["functions", 0, "name"], "a\u001b[2Jb")).functions[0]?.name).toBe("a[2Jb");
  });

  it("shows addresses and IDs in hexadecimal", () => {
    const text = captureToJson(parseCapture(HEX_LAPTOP, "x"));
    expect(text).toContain('"base": "0x6000000000"');
    expect(text).toContain('"vendor": "0x10de"');
    expect(text).toContain('"class": "0x030000"');
  });
});

describe("JSON that is refused says where, what and why", () => {
  const bar = ["functions", GPU, "bars", 0];
  it.each([
    [["schemaVersion"], 2, "schemaVersion is 2, and must be one of 1"],
    [["format"], "pdf", 'format is "pdf", and must be one of lspci'],
    [["functions"], {}, "functions is {}, and must be an array"],
    [["functions", 0, "address"], "00:00.0", 'functions[0].address is "00:00.0", and must be a PCI address'],
    [
      ["functions", 1, "address"],
      "0000:00:00.0",
      'functions[1].address is "0000:00:00.0", and must be an address that no',
    ],
    [["functions", 0, "class"], "0x1000000", "up to 0xffffff"],
    [["functions", 0, "vendor"], 0x8086, "functions[0].vendor is 32902, and must be a string like"],
    [[...bar, "base"], 0x8f00_0000, `functions[${GPU}].bars[0].base is 2399141888, and must be a string`],
    [[...bar, "base"], "0x0020000000000000", "up to 0x1fffffffffffff"],
    [[...bar, "sizeBytes"], 0, `functions[${GPU}].bars[0].sizeBytes is 0, and must be an integer from 1`],
    [[...bar, "sizeBytes"], 1.5, "must be an integer"],
    [[...bar, "index"], 13, "must be an integer from 0 to 12"],
    [[...bar, "bits"], 16, "must be one of 32, 64"],
    [[...bar, "enabled"], "yes", "must be true or false"],
    [["functions", 0, "acs"], { capability: {} }, "functions[0].acs.capability.SrcValid is missing, and must be true"],
    [["functions", 0, "ats"], 3, "functions[0].ats is 3, and must be an object"],
    [["functions", 0, "portType"], "port", "must be one of root-port"],
    [["functions", 0, "numaNode"], -1, "functions[0].numaNode is -1"],
    [["functions", 0, "name"], null, "functions[0].name is null, and must be a string"],
    [["functions", 0, "bridge"], { primary: 0, secondary: 256 }, "functions[0].bridge.windows is missing"],
    [["host", "cpu"], { vendor: "x", family: "y" }, 'host.cpu.family is "y"'],
    [["host", "domainTypes"], { a: "DMA" }, "host.domainTypes.a"],
    [["host", "busOffsets"], { "00": 0 }, "host.busOffsets.00"],
    [["host", "busOffsets"], { "0000:00": 2 ** 53 - 1 }, "host.busOffsets.0000:00 is 9007199254740991, and must be"],
    [["host", "busOffsets"], { "0000:00": 1 - 2 ** 53 }, "host.busOffsets.0000:00 is -9007199254740991"],
    [["functions"], [], "functions is empty"],
    [["functions", 1, "address"], "00000:00:00.0", 'functions[1].address is "00000:00:00.0", and must be an address'],
    [["host", "iommu"], null, "host.iommu is null, and must be one of on, off, unknown"],
    [["unknown"], [{ what: 1 }], "unknown[0].what is 1, and must be a string"],
    [["skipped"], [{ where: "x" }], "skipped[0].text is missing"],
  ])("%j = %j", (path, value, message) => expect(messageOf(edited(path, value))).toContain(message));

  it.each(["", "{", "[]", "null", '{"schemaVersion":1}', '{"__proto__":{"schemaVersion":1}}'])("%j", (text) =>
    expect(messageOf(text)).toMatch(/^c\.json: /),
  );

  it("that is valid but of no host is refused like any capture", () => {
    expect(messageOf(edited(["functions", GPU, "bars", 0, "base"], "0x6050000000"))).toMatch(/overlap/);
  });
});
