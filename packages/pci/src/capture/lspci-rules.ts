/** The lines of lspci that say something about topology, each with what it says. Everything else is known to say nothing. */
import { type AcsBits, NO_ACS_BITS, type PortType } from "../function.js";
import { readBar, readCardBusWindow, readWindow } from "./lspci-addresses.js";
import type { Said } from "./lspci-said.js";
import type { Notes } from "./notes.js";

interface Rule {
  readonly begins: RegExp;
  /** False: the line is one of these and says what nobody understands. */
  readonly read: (found: RegExpExecArray, said: Said, notes: Notes) => boolean | void;
}

const RULES: readonly Rule[] = [
  {
    begins: /^(?:Region (\d): )?(\[virtual\] )?(Memory|I\/O ports) at ([0-9a-f]+|<[\w-]+>)(?: (.*))?$/,
    read: readBar,
  },
  {
    begins: /^Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})/,
    read: ([, ...buses], said) => {
      said.buses = buses.slice(0, 3).map((b) => parseInt(b, 16)) as [number, number, number];
    },
  },
  {
    begins: /^(I\/O|Memory|Prefetchable memory) behind bridge: (?:([0-9a-f]+)-([0-9a-f]+)(?: \[.*)?$|None|\[)/,
    read: readWindow,
  },
  {
    begins: /^(Memory|I\/O) window \d: ([0-9a-f]+)-([0-9a-f]+).*/,
    read: readCardBusWindow,
  },
  {
    begins: /^Control: I\/O[+-] Mem([+-]) BusMaster([+-])/,
    read: ([, memory, master], said) => {
      said.command = { busMaster: master === "+", memory: memory === "+" };
    },
  },
  {
    begins: /^Flags: .*devsel.*/,
    read: ({ 0: flags }, said) => {
      said.command = { busMaster: flags.includes("bus master"), memory: null };
      said.numaNode ??= numberIn(/NUMA node (\d+)/, flags);
      said.iommuGroup ??= numberIn(/IOMMU group (\d+)/, flags);
    },
  },
  {
    begins: /^IOMMU group: (\d+)$/,
    read: ([, group], said) => {
      said.iommuGroup = Number(group);
    },
  },
  {
    begins: /^NUMA node: (\d+)$/,
    read: ([, node], said) => {
      said.numaNode = Number(node);
    },
  },
  {
    begins: /^Kernel driver in use: (.+)$/,
    read: ([, driver], said) => {
      said.driver = driver ?? null;
      said.inSriov = false;
    },
  },
  { begins: /^Capabilities:/, read: ({ input }, said) => readCapability(input, said) },
  {
    begins: /^ACS(Cap|Ctl):(.*)$/,
    read: ([, which, text = ""], said) => {
      said.acs[which === "Cap" ? "capability" : "control"] = acsBits(text);
      return Object.keys(NO_ACS_BITS).every((name) => new RegExp(`${name}[+-]`).test(text));
    },
  },
  {
    begins: /^ATSCap:.*Queue Depth: ([0-9a-f]{2})/,
    read: ([, depth = ""], said) => {
      said.ats.queueDepth = parseInt(depth, 16);
    },
  },
  {
    begins: /^ATSCtl: ?Enable([+-])/,
    read: ([, enabled], said) => {
      said.ats.enabled = enabled === "+";
    },
  },
  {
    begins: /^(?:IOVCap|IOVCtl|IOVSta):/,
    read: (_, said) => {
      said.inSriov = true;
    },
  },
  {
    begins: /^Initial VFs: .*Number of VFs: (\d+)/,
    read: ([, count], said) => {
      said.inSriov = true;
      said.vfs.count = Number(count);
    },
  },
  {
    begins: /^VF offset: (\d+), stride: (\d+)/,
    read: ([, offset, stride], said) => {
      said.inSriov = true;
      said.vfs.offset = Number(offset);
      said.vfs.stride = Number(stride);
    },
  },
];

/** Lines that a rule should have understood. */
const MATTERS =
  /^Region\b|^(?:\[virtual\] )?(?:Memory|I\/O ports) at\b|behind bridge|^Bus: |^Control: I\/O|^ACSC(?:ap|tl)|^ATSC(?:ap|tl)|^IOMMU group|^NUMA node/;

/** False for a line that matters and that was not understood. */
export function readLine(text: string, said: Said, notes: Notes): boolean {
  for (const { begins, read } of RULES) {
    const found = begins.exec(text);
    if (found) return read(found, said, notes) ?? true;
  }
  return !MATTERS.test(text);
}

function readCapability(line: string, said: Said): void {
  const text = line.replace(/^Capabilities: ?(?:\[\w+(?: v\d+)?\] ?)?/, "");
  said.hasCapabilities = true;
  said.inSriov = text.startsWith("Single Root I/O Virtualization");
  said.accessDenied ||= text.startsWith("<access denied>");
  // Old versions know the number alone: `#0d`, `Unknown (13)`.
  said.hidesAcs ||= /^Access Control|^#0d\b|^Unknown \(13\)/.test(text);
  said.hidesAts ||= /^Address Translation|^#0f\b|^Unknown \(15\)/.test(text);
  if (/^Express\b/.test(text)) said.express ??= portTypeOf(text);
}

function portTypeOf(text: string): PortType {
  if (text.includes("Root Port")) return "root-port";
  if (text.includes("Upstream Port")) return "upstream-port";
  if (text.includes("Downstream Port")) return "downstream-port";
  if (text.includes("Root Complex")) return "integrated";
  if (text.includes("Bridge")) return "pci-bridge";
  return text.includes("Endpoint") ? "endpoint" : "unknown";
}

function acsBits(text: string): AcsBits {
  const names = Object.keys(NO_ACS_BITS) as (keyof AcsBits)[];
  return Object.fromEntries(names.map((name) => [name, text.includes(`${name}+`)])) as unknown as AcsBits;
}

function numberIn(pattern: RegExp, text: string): number | null {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? null : Number(found);
}
