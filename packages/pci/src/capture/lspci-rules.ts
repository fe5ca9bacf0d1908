/** The lines of lspci that say something about topology, each with what it says. Everything else is known to say nothing. */
import { type AcsBits, NO_ACS_BITS, type PortType } from "../function.js";
import { readBar, readCardBusWindow, readWindow } from "./lspci-addresses.js";
import type { Said } from "./lspci-said.js";
import type { Notes } from "./notes.js";

/** The register has 16 bits. */
const MAX_VFS = 0xffff;

interface Rule {
  readonly begins: RegExp;
  /** False: the line is one of these and says what nobody understands. A text says why it is not believed. */
  readonly read: (found: RegExpExecArray, said: Said, notes: Notes) => boolean | string | void;
}

const RULES: readonly Rule[] = [
  {
    begins: /^(?:Region (\d): )?(\[virtual\] )?(Memory|I\/O ports) at ([0-9a-fA-F]+|<[\w-]+>)(?: (.*))?$/,
    read: readBar,
  },
  {
    begins: /^Bus: primary=([0-9a-f]{2}), secondary=([0-9a-f]{2}), subordinate=([0-9a-f]{2})/i,
    read: ([, ...buses], said) => {
      said.buses = buses.slice(0, 3).map((b) => parseInt(b, 16)) as [number, number, number];
    },
  },
  {
    begins: /^(I\/O|Memory|Prefetchable memory) behind bridge: (.*)$/,
    read: readWindow,
  },
  {
    begins: /^(Memory|I\/O) window \d: ([0-9a-fA-F]+)-([0-9a-fA-F]+)(?: .*)?$/,
    read: readCardBusWindow,
  },
  {
    // Windows that no rule above reads: the line is cut.
    begins: /^(?:Memory be|Prefetchable me|I\/O be|(?:Memory|I\/O) window)/,
    read: (_, said) => {
      said.losesWindows = true;
      return false;
    },
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
      const [node, group] = [/NUMA node (\d+)/, /IOMMU group (\d+)/].map((p) => numberIn(p, flags));
      said.command = { busMaster: flags.includes("bus master"), memory: null };
      said.numaNode ??= node ?? null;
      said.iommuGroup ??= group ?? null;
      return node !== undefined && group !== undefined;
    },
  },
  {
    begins: /^IOMMU group: (\d+)$/,
    read: ([, group], said) => {
      if (!Number.isSafeInteger(Number(group))) return false;
      said.iommuGroup = Number(group);
      return true;
    },
  },
  {
    begins: /^NUMA node: (\d+)$/,
    read: ([, node], said) => {
      if (!Number.isSafeInteger(Number(node))) return false;
      said.numaNode = Number(node);
      return true;
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
      const bits = acsBits(text);
      // A bit that is cut off is not a bit that is off.
      if (bits === null) said.hidesAcs = true;
      else said.acs[which === "Cap" ? "capability" : "control"] = bits;
      return bits !== null;
    },
  },
  {
    begins: /^ATSCap:.*Queue Depth: ([0-9a-f]{2})\b/i,
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
    // Of these that no rule above reads: the line is cut.
    begins: /^A([CT])SC/,
    read: ([, letter], said) => {
      said[letter === "C" ? "hidesAcs" : "hidesAts"] = true;
      return false;
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
      if (Number(count) > MAX_VFS) return false;
      said.vfs.count = Number(count);
      return true;
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

const NOT_UNDERSTOOD = "not understood, or cut";

/** Why a line that matters is not believed; `null` for one that is, and for one that does not matter. */
export function readLine(text: string, said: Said, notes: Notes): string | null {
  for (const { begins, read } of RULES) {
    const found = begins.exec(text);
    if (!found) continue;
    const verdict = read(found, said, notes) ?? true;
    return verdict === true ? null : verdict || NOT_UNDERSTOOD;
  }
  return MATTERS.test(text) ? NOT_UNDERSTOOD : null;
}

/** Is this a line about some function? */
export function matters(text: string): boolean {
  return MATTERS.test(text) || RULES.some(({ begins }) => begins.test(text));
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

/** `null` where a name is missing: every lspci that knows ACS prints all of them. */
function acsBits(text: string): AcsBits | null {
  const signs = new Map([...text.matchAll(/(?<!\S)(\w+)([+-])(?!\S)/g)].map(([, name, sign]) => [name, sign === "+"]));
  const names = Object.keys(NO_ACS_BITS);
  return names.every((name) => signs.has(name))
    ? (Object.fromEntries(names.map((name) => [name, signs.get(name)])) as unknown as AcsBits)
    : null;
}

/** `null`: not there. `undefined`: too large to be one. */
function numberIn(pattern: RegExp, text: string): number | null | undefined {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) return null;
  return Number.isSafeInteger(Number(found)) ? Number(found) : undefined;
}
