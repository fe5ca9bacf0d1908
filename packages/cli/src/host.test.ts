import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { MatrixReport, PairReport } from "./p2p-report.js";
import { dmaBuf } from "./testing.js";

const dir = mkdtempSync(join(tmpdir(), "dma-buf-host-"));
afterAll(() => rmSync(dir, { recursive: true }));
const machines = new URL("../../../machines/", import.meta.url).pathname;
const LAPTOP = join(machines, "laptop-nvidia-optane.lspci.txt");

/** A switch with a GPU and a NIC below, and what lspci prints of it; `ctl` is the ACS control of its ports. */
function switched(ctl: string): string {
  const port = (at: string, kind: string, [pri, sec, sub]: string[], window: string) =>
    `${at} PCI bridge [0604]: Broadcom Switch [1000:c010]\n\tControl: I/O- Mem+ BusMaster+ SpecCycle-\n` +
    `\tBus: primary=${pri}, secondary=${sec}, subordinate=${sub}, sec-latency=0\n` +
    `\tPrefetchable memory behind bridge: ${window} [size=16M] [64-bit]\n` +
    `\tCapabilities: [68] Express (v2) ${kind}, MSI 00\n` +
    (kind.startsWith("Up")
      ? ""
      : `\tCapabilities: [100 v1] Access Control Services\n\t\tACSCap:\tSrcValid+ TransBlk+ ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans+\n\t\tACSCtl:\t${ctl}\n`);
  const end = (at: string, name: string, base: string) =>
    `${at} ${name}\n\tControl: I/O- Mem+ BusMaster+ SpecCycle-\n\tRegion 0: Memory at ${base} (64-bit, prefetchable) [size=1M]\n\tCapabilities: [60] Express (v2) Endpoint, MSI 00\n`;
  return [
    "00:00.0 Host bridge [0600]: Intel Corporation Ice Lake Memory Map/VT-d [8086:09a2] (rev 20)\n\tControl: I/O- Mem+ BusMaster+\n",
    port("00:01.0", "Root Port", ["00", "01", "04"], "0000004000000000-0000004001ffffff"),
    port("01:00.0", "Upstream Port", ["01", "02", "04"], "0000004000000000-0000004001ffffff"),
    port("02:00.0", "Downstream Port", ["02", "03", "03"], "0000004000000000-0000004000ffffff"),
    port("02:01.0", "Downstream Port", ["02", "04", "04"], "0000004001000000-0000004001ffffff"),
    end("03:00.0", "3D controller [0302]: NVIDIA Corporation GH100 [10de:2330] (rev a1)", "4000000000"),
    end("04:00.0", "Ethernet controller [0200]: Mellanox ConnectX-7 [15b3:1021]", "4001000000"),
    "",
  ].join("\n");
}
const OFF = "SrcValid- TransBlk- ReqRedir- CmpltRedir- UpstreamFwd- EgressCtrl- DirectTrans-";
const REDIRECT = "SrcValid+ TransBlk- ReqRedir+ CmpltRedir+ UpstreamFwd+ EgressCtrl- DirectTrans-";
const save = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
const direct = save("direct.txt", switched(OFF));
const redirected = save("redirected.txt", switched(REDIRECT));

describe("p2p", () => {
  it("a pair below a switch: bus address, with the way", async () => {
    const { code, out, err } = await dmaBuf("p2p", direct, "04:00.0", "03:00.0");
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(/0000:04:00\.0 to BAR 0 of 0000:03:00\.0 at 0x4000000000\n {2}Linux: bus address/);
    expect(out).toMatch(/0000:02:01\.0 sends the bus address 0x4000000000 sideways to 0000:02:00\.0/);
    expect(out).toMatch(/arrives, because the ports route it sideways/);
  });

  it("with redirect: which bit of which port, what to change, and what the hardware does is another matter", async () => {
    const { out } = await dmaBuf("p2p", redirected, "04:00.0", "03:00.0");
    const words = out.replaceAll(/\s+/g, " ");
    expect(words).toContain("Linux: through the host bridge");
    expect(words).toContain("ACS ReqRedir at 0000:02:00.0 sends peer requests up");
    expect(words).toContain("pci=disable_acs_redir=0000:02:00.0;0000:02:01.0");
    expect(words).toContain("unknown whether it arrives, because the root complex would have to forward");
    expect(words).toContain("no register says");
  });

  it("says what was taken for granted, and that pieces were skipped", async () => {
    const { out } = await dmaBuf("p2p", direct, "04:00.0", "03:00.0");
    expect(out).toContain("Bus addresses below the host bridge of 0000:00 are taken to be the CPU's");
    expect(out).not.toContain("skipped");
    const torn = save("torn.txt", switched(OFF).replace("Region 0: Memory at 4000000000", "Region 0: Memory at 40000"));
    writeFileSync(torn, `${readFileSync(torn, "utf8")}Region 1: Mem\n`);
    for (const argv of [
      ["p2p", torn],
      ["p2p", torn, "04:00.0", "03:00.0"],
    ])
      expect((await dmaBuf(...argv)).out).toMatch(/skipped: dma-buf machine lists them/);
  });

  it("by another kernel's rules", async () => {
    const verdict = async (...more: string[]) =>
      (JSON.parse((await dmaBuf("p2p", redirected, "04:00.0", "03:00.0", "--json", ...more)).out) as PairReport)
        .directions[0]?.verdict;
    expect(await verdict()).toBe("through-host-bridge");
    expect(await verdict("--kernel", "5.15")).toBe("not-supported");
    expect(await dmaBuf("p2p", redirected, "--kernel", "new")).toMatchObject({ code: 2, out: "" });
  });

  it("the matrix, as text and JSON, in 80 columns", async () => {
    const { code, out } = await dmaBuf("p2p", direct);
    expect(code).toBe(0);
    expect(out).toMatch(/^ +1 2$/m);
    expect(out).toMatch(/^ +1 +B$/m);
    expect(Math.max(...out.split("\n").map((l) => l.length))).toBeLessThanOrEqual(100);
    const { matrix, classes, kernel } = JSON.parse((await dmaBuf("p2p", direct, "--json")).out) as MatrixReport;
    expect([matrix, kernel]).toEqual([
      [
        [null, "bus-address"],
        ["bus-address", null],
      ],
      "7.3",
    ]);
    expect(classes.map((c) => c.functions)).toEqual([["0000:03:00.0"], ["0000:04:00.0"]]);
  });

  it("says what it does not know, and what to capture", async () => {
    const denied = save(
      "denied.txt",
      switched(OFF).replaceAll(/\tCapabilities: \[100[^]*?ACSCtl:.*\n/g, "\tCapabilities: <access denied>\n"),
    );
    const { code, out } = await dmaBuf("p2p", denied, "03:00.0", "04:00.0");
    expect(code).toBe(0);
    expect(out).toMatch(/Linux: unknown/);
    expect(out).toMatch(/either bus address/);
    expect(out.replaceAll(/\s+/g, " ")).toMatch(
      /unknown, because ACS of 0000:02:0[01]\.0[^]*not known: [^]*To know it: sudo lspci -vvv/,
    );
    const all = (await dmaBuf("p2p", denied)).out;
    expect(all).toContain("?");
    // Facts that lack the same capture share a sentence.
    expect(all.match(/To know it:/g)).toHaveLength(1);
  });

  it("a device whose bridge is not in the capture is not on a root bus", async () => {
    const [, , , , , gpu, nic] = switched(OFF).split(/^(?=[0-9a-f]{2}:)/m);
    const alone = save("alone.txt", `${gpu}${nic}`);
    expect((await dmaBuf("p2p", alone)).out).toMatch(/0000:03:00\.0, below a bridge that is not shown/);
  });

  it.each([
    ["one device", ["p2p", direct, "03:00.0"], /a pair has two devices/],
    ["the same twice", ["p2p", direct, "03:00.0", "0000:03:00.0"], /twice/],
    ["one that is not there", ["p2p", direct, "03:00.1", "04:00.0"], /03:00\.1: no such function.*0000:03:00\.0/],
    ["nonsense", ["p2p", direct, "gpu", "nic"], /gpu: no such function.*0000:04:00\.0/],
  ])("refuses %s", async (_name, argv, message) => {
    const { code, out, err } = await dmaBuf(...argv);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(message);
  });
});

describe("machine", () => {
  it("draws the tree with ACS and IOMMU groups", async () => {
    const { out } = await dmaBuf("machine", LAPTOP);
    expect(out).toMatch(/\+- 0000:00:01\.0 Intel[^\n]*to bus 01[^\n]*group 2/);
    expect(out).toMatch(/\| {2}\+- 0000:01:00\.0 NVIDIA[^]*BAR 1: 0x6050000000, 256 MiB/);
    expect(out).toMatch(/0000:00:1b\.0[^\n]*ACS SrcValid TransBlk ReqRedir/);
    expect(out).toMatch(/Unknown \(\d+\):/);
  });

  it("shows the groups that the kernel would form, where none were captured and ACS is known", async () => {
    const groups = async (file: string) => [
      ...(await dmaBuf("machine", file)).out.matchAll(/(0000:0[34]:00\.0)[^\n]*group (\d) by rule/g),
    ];
    expect((await groups(redirected)).map((m) => m[2])).toEqual(["5", "6"]);
    expect((await groups(direct)).map((m) => m[2])).toEqual(["1", "1"]);
    const hidden = save(
      "hidden.txt",
      switched(OFF).replaceAll(/\tCapabilities: \[100[^]*?ACSCtl:.*\n/g, "\tCapabilities: <access denied>\n"),
    );
    expect(await groups(hidden)).toEqual([]);
  });

  it("a capture that was cut is read as far as it goes, and says so", async () => {
    const text = readFileSync(LAPTOP, "utf8");
    const cut = save("cut.txt", text.slice(0, 40_000));
    const { code, out } = await dmaBuf("machine", cut);
    expect(code).toBe(0);
    expect(out).toMatch(/Unknown \(\d+\):/);
  });
});

describe("capture", () => {
  /** A sysfs tree of one function, as the kernel lays it out. */
  function sysfs(): string {
    const root = join(dir, "root");
    const device = join(root, "sys/devices/pci0000:00/0000:00:03.0");
    mkdirSync(device, { recursive: true });
    mkdirSync(join(root, "sys/bus/pci/devices"), { recursive: true });
    mkdirSync(join(root, "proc"), { recursive: true });
    symlinkSync("../../../devices/pci0000:00/0000:00:03.0", join(root, "sys/bus/pci/devices/0000:00:03.0"));
    const files = {
      vendor: "0x10de\n",
      device: "0x2330\n",
      class: "0x030200\n",
      numa_node: "1\n",
      resource: `0x0000004000000000 0x00000040000fffff 0x000000000014220c\n${"0x0000000000000000 0x0000000000000000 0x0000000000000000\n".repeat(12)}`,
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(device, name), text);
    writeFileSync(
      join(root, "proc/cpuinfo"),
      "processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\n",
    );
    return root;
  }

  it("writes what the other commands read, and writes over nothing", async () => {
    const out = join(dir, "host.json");
    expect(await dmaBuf("capture", "--root", sysfs(), "--out", out)).toMatchObject({ code: 0, out: "" });
    const machine = JSON.parse((await dmaBuf("machine", out, "--json")).out) as Record<string, unknown>;
    expect(machine).toMatchObject({
      schemaVersion: 1,
      host: { cpu: { vendor: "AuthenticAMD", family: 25, model: 17 } },
      functions: [
        {
          address: "0000:00:03.0",
          class: "0x030200",
          vendor: "0x10de",
          device: "0x2330",
          bars: [{ index: 0, space: "memory", base: "0x4000000000", sizeBytes: 2 ** 20, prefetchable: true, bits: 64 }],
          bridge: null,
          numaNode: 1,
        },
      ],
    });
    expect(machine["functions"]).toEqual(
      (JSON.parse((await dmaBuf("machine", join(dir, "root"), "--json")).out) as typeof machine)["functions"],
    );
    expect(await dmaBuf("capture", "--root", join(dir, "root"), "--out", out)).toMatchObject({
      code: 2,
      err: expect.stringMatching(/host\.json: exists, and is not written over/),
    });
  });

  it("without --out prints it", async () => {
    expect(JSON.parse((await dmaBuf("capture", "--root", join(dir, "root"))).out)).toMatchObject({ schemaVersion: 1 });
  });

  it.each([
    ["no such directory", join(dir, "nowhere")],
    ["no sysfs", machines],
  ])("refuses %s", async (_name, root) => {
    const { code, out, err } = await dmaBuf("capture", "--root", root);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toMatch(/sys/);
  });
});
