import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { directoryTree } from "../node.js";
import { CaptureError } from "./capture-error.js";
import { captureFromJson, captureToJson } from "./json.js";
import { captureTree } from "./sysfs.js";
import { configBytes, treeOf } from "./testing.js";

const zero = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
const ROOT = "sys/devices/pci0000:00";
const PORT = `${ROOT}/0000:00:01.0`;
const GPU = `${PORT}/0000:01:00.0`;
const HOST: Readonly<Record<string, string | Uint8Array>> = {
  [`${PORT}/config`]: configBytes(64, { 0: 0x8086, 4: 6, 14: 1, 0x18: 0x0100, 0x1a: 1 }),
  [`${PORT}/class`]: "0x060400\n",
  [`${PORT}/resource`]: zero.repeat(14) + "0x00000040e0000000 0x00000040efffffff 0x0000000000000200\n" + zero.repeat(2),
  [`${GPU}/config`]: configBytes(64, { 0: 0x10de, 4: 6, 0x10: 4, 0x12: 0xe000, 0x14: 0 }),
  [`${GPU}/class`]: "0x030000\n",
  [`${GPU}/vendor`]: "0x10de\n",
  [`${GPU}/device`]: "0x1b80\n",
  [`${GPU}/numa_node`]: "1\n",
  [`${GPU}/driver`]: "->../../../../bus/pci/drivers/nvidia",
  [`${GPU}/iommu_group`]: "->../../../../kernel/iommu_groups/7",
  [`${GPU}/resource`]:
    "0x00000040e0000000 0x00000040e0ffffff 0x000000000014220c\n" +
    zero +
    "0x0000000000003000 0x000000000000307f 0x0000000000040101\n" +
    "0x0000000000000000 0x0000000000ffffff 0x0000000020140204\n" +
    zero.repeat(3) +
    "0x00000040e1000000 0x00000040e1ffffff 0x0000000000140204\n" +
    zero.repeat(5),
  "sys/kernel/iommu_groups/7/type": "DMA-FQ\n",
  "sys/kernel/iommu_groups/7/devices/0000:01:00.0": "->../../../../devices/pci0000:00/0000:00:01.0/0000:01:00.0",
  "proc/cpuinfo": "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\n",
  "proc/cmdline": "ro iommu=pt\n",
  "proc/sys/kernel/osrelease": "6.8.0-40-generic\n",
};
const without = (...names: string[]) =>
  Object.fromEntries(Object.entries(HOST).filter(([path]) => !names.some((name) => path.includes(name))));
const gpu = (files: typeof HOST) =>
  captureTree(treeOf(files), "host").functions.find((fn) => fn.address === "0000:01:00.0");

describe("a host's sysfs", () => {
  const capture = captureTree(treeOf(HOST), "host");

  it("has functions, in the order of their addresses", () => {
    expect(capture.functions.map((fn) => fn.address)).toEqual(["0000:00:01.0", "0000:01:00.0"]);
    expect(capture).toMatchObject({ format: "sysfs", skipped: [] });
  });

  it("has BARs by line, those for VFs too, and none that is unset", () => {
    expect(gpu(HOST)?.bars).toEqual([
      {
        index: 0,
        space: "memory",
        base: 0x40_e000_0000,
        sizeBytes: 2 ** 24,
        prefetchable: true,
        bits: 64,
        enabled: true,
      },
      { index: 2, space: "io", base: 0x3000, sizeBytes: 128, prefetchable: false, bits: 32, enabled: true },
      {
        index: 7,
        space: "memory",
        base: 0x40_e100_0000,
        sizeBytes: 2 ** 24,
        prefetchable: false,
        bits: 64,
        enabled: true,
      },
    ]);
  });

  it("has a bridge's window, also where a kernel without SR-IOV has 11 lines", () => {
    const windows = [{ kind: "memory", base: 0x40_e000_0000, sizeBytes: 2 ** 28 }];
    expect(capture.functions[0]?.bridge?.windows).toEqual(windows);
    const short = { ...HOST, [`${PORT}/resource`]: (HOST[`${PORT}/resource`] as string).slice(6 * zero.length) };
    expect(captureTree(treeOf(short), "host").functions[0]?.bridge?.windows).toEqual(windows);
  });

  it("has the bus offset: what the CPU sees less what the register holds", () => {
    expect(capture.host.busOffsets).toEqual(new Map([["0000:00", 0x40_0000_0000]]));
  });

  it("has what stands beside the functions", () => {
    expect(gpu(HOST)).toMatchObject({ driver: "nvidia", iommuGroup: 7, numaNode: 1, vendor: 0x10de, device: 0x1b80 });
    expect(capture.host).toMatchObject({
      cpu: { vendor: "AuthenticAMD", family: 25, model: 1 },
      kernelRelease: "6.8.0-40-generic",
      commandLine: "ro iommu=pt",
      iommu: "on",
      domainTypes: new Map([[7, "DMA-FQ"]]),
    });
    expect(capture.unknown.map((u) => u.what)).toEqual(["whether the root complex forwards peer requests"]);
  });
});

describe("a tree that lacks files", () => {
  it("has groups from the groups' side, and the driver from uevent", () => {
    const files = { ...without("/driver", "0/iommu_group"), [`${GPU}/uevent`]: "DRIVER=vfio-pci\nPCI_CLASS=30000\n" };
    expect(gpu(files)).toMatchObject({ iommuGroup: 7, driver: "vfio-pci" });
  });

  it("without config: ACS and port type are unknown, and buses come from files", () => {
    const files = {
      ...without("/config"),
      [`${PORT}/secondary_bus_number`]: "1",
      [`${PORT}/subordinate_bus_number`]: "1",
    };
    const capture = captureTree(treeOf(files), "host");
    expect(capture.functions[0]).toMatchObject({ bridge: { secondary: 1 }, acs: "unknown", portType: "unknown" });
    expect(capture.unknown.map((u) => u.what)).toContain("the bus offset of root 0000:00");
  });

  it("without config: COMMAND is taken as on, and named", () => {
    const capture = captureTree(treeOf(without("0000:01:00.0/config")), "host");
    expect(capture.functions[1]).toMatchObject({ busMaster: true, memoryEnabled: true });
    expect(capture.unknown.map((u) => u.what)).toContain("COMMAND of 0000:01:00.0");
  });

  it("a BAR that decodes nothing tells no offset", () => {
    const off = configBytes(64, { 0: 0x10de, 4: 4, 0x10: 4, 0x12: 0xe000, 0x14: 0 });
    expect(captureTree(treeOf({ ...HOST, [`${GPU}/config`]: off }), "host").host.busOffsets.size).toBe(0);
  });

  it("an offset that would put a BAR below 0 is none", () => {
    const low = "0x00000000d0000000 0x00000000d0ffffff 0x0000000000040200\n";
    const files = { ...HOST, [`${ROOT}/0000:00:02.0/resource`]: low, [`${ROOT}/0000:00:02.0/class`]: "0x020000" };
    const capture = captureTree(treeOf(files), "host");
    expect(capture.host.busOffsets.size).toBe(0);
    expect(capture.skipped).toEqual([expect.objectContaining({ where: "BARs below 0000:00" })]);
    expect(captureFromJson(captureToJson(capture))).toEqual(capture);
  });

  it.each([
    ["processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd40\n", "Arm"],
    ["processor\t: 0\nCPU implementer\t: 0x61\n", "Arm, of implementer 0x61"],
    ["processor\t: 0\ncpu\t\t: POWER9 (raw), altivec supported\n", "POWER9 (raw), altivec supported"],
    ["processor\t: 0\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\n", "sifive,u74-mc"],
    ["processor\t: 0\nisa\t\t: rv64imafdc\n", "rv64imafdc"],
  ])("%j is no x86, and known", (cpuinfo, vendor) => {
    const capture = captureTree(treeOf({ ...HOST, "proc/cpuinfo": cpuinfo }), "host");
    expect(capture.host.cpu).toEqual({ vendor, family: 0, model: 0 });
    expect(capture.unknown.map((u) => u.what)).not.toContain("the CPU's vendor and family");
    expect(captureFromJson(captureToJson(capture)).host.cpu).toEqual(capture.host.cpu);
  });

  it("files that tar filled up with zeros, and names that would command a terminal, are cleaned", () => {
    const files = {
      ...HOST,
      [`${GPU}/driver`]: "->../../e\u001bvil",
      "proc/sys/kernel/osrelease": "6.8\u001b[2J.0\n\0\0\0",
    };
    expect(gpu(files)?.driver).toBe("evil");
    expect(captureTree(treeOf(files), "host").host.kernelRelease).toBe("6.8.0");
  });

  it("without resource: BARs have addresses and no sizes", () => {
    expect(gpu(without("/resource"))).toMatchObject({ bars: [], unsizedBars: [{ index: 0, base: 0xe000_0000 }] });
  });

  it("whose directories of functions were not copied says which are missing", () => {
    const links = { ...HOST, "sys/bus/pci/devices/0000:02:00.0": "->../../../devices/pci0000:00/0000:02:00.0" };
    expect(captureTree(treeOf(links), "host").skipped).toEqual([
      expect.objectContaining({ where: "sys/bus/pci/devices/0000:02:00.0" }),
    ]);
  });

  it.each([
    ["empty directories: none is in use", { "sys/kernel/iommu_groups/": "" }, "off"],
    ["a unit, though no function is in a group", { "sys/class/iommu/dmar0": "" }, "on"],
    ["a group that other functions are in", { "sys/kernel/iommu_groups/3/type": "DMA" }, "on"],
    ["the command line", { "proc/cmdline": "intel_iommu=off" }, "off"],
    ["nothing", {}, "unknown"],
  ])("IOMMU by %s", (_what, files, iommu) => {
    const tree = treeOf({ ...without("iommu", "cmdline"), ...files });
    const list = (path: string) => tree.list(path)?.filter((name) => name !== "") ?? null;
    expect(captureTree({ ...tree, list }, "host").host.iommu).toBe(iommu);
  });

  it("in another directory, or being /sys itself, is found", () => {
    const moved = (from: string, to: string) =>
      Object.fromEntries(Object.entries(HOST).map(([path, file]) => [path.replace(from, to), file]));
    for (const files of [moved(/^/ as never, "a/b/"), moved("sys/", "")]) expect(gpu(files)?.bars).toHaveLength(3);
  });

  it.each([{}, { "etc/passwd": "" }])("without any function is refused", (files: Record<string, string>) => {
    expect(() => captureTree(treeOf(files), "x")).toThrow(CaptureError);
  });

  it("a line of resource that is no three numbers is skipped", () => {
    const files = { ...HOST, [`${GPU}/resource`]: "0x1 0x2\n" };
    expect(captureTree(treeOf(files), "x").skipped).toEqual([expect.objectContaining({ text: "0x1 0x2" })]);
  });
});

describe("a directory", () => {
  const dir = mkdtempSync(join(tmpdir(), "sysfs-"));
  afterAll(() => rmSync(dir, { recursive: true }));
  for (const [path, file] of Object.entries(HOST)) {
    mkdirSync(join(dir, path, ".."), { recursive: true });
    if (typeof file === "string" && file.startsWith("->")) symlinkSync(file.slice(2), join(dir, path));
    else writeFileSync(join(dir, path), file);
  }
  symlinkSync("/etc", join(dir, "out"));

  it("is read like any tree", () => {
    expect(captureTree(directoryTree(dir), "host").functions).toEqual(captureTree(treeOf(HOST), "host").functions);
  });

  it("whose links go in circles is not searched through them", () => {
    const circles = mkdtempSync(join(tmpdir(), "circles-"));
    for (let i = 0; i < 150; i++) symlinkSync(".", join(circles, `l${i}`));
    const tree = directoryTree(circles);
    let lists = 0;
    const list = (path: string) => {
      lists++;
      return tree.list(path);
    };
    expect(() => captureTree({ ...tree, list }, "x")).toThrow(/neither sys/);
    expect(lists).toBeLessThan(1000);
    rmSync(circles, { recursive: true });
  });

  it("leads nowhere outside: a link of another host means nothing here", () => {
    const tree = directoryTree(dir);
    expect([tree.list("out"), tree.read("out/passwd"), tree.read("../x"), tree.list("..")]).toEqual([
      null,
      null,
      null,
      null,
    ]);
    expect(tree.link("out")).toBe("/etc");
  });
});
