/** PCI roots, and which of them the kernel trusts to forward peer requests. */
import type { Cpu } from "./capture/capture.js";
import type { Maybe, PciFunction } from "./function.js";
import type { KernelVersion } from "./kernel-version.js";
import { isBefore } from "./kernel-version.js";

/**
 * What the kernel's list of host bridges says of one: peers may be anywhere below listed bridges, or below this one
 * alone, or the bridge is not on it. `unknown`: the capture has no ids, or nobody noted when the entry came.
 */
export type Listing = Maybe<"listed" | "same-bridge-only" | "not-listed">;

/** One PCI root. Compared by identity: it is the space in which its bus addresses mean something. */
export interface HostBridge {
  readonly name: string;
  readonly domain: number;
  readonly bus: number;
  /** `bus address = CPU physical address - busOffsetBytes` for everything below. */
  readonly busOffsetBytes: number;
  /** False: the capture does not show it, and 0 is taken. */
  readonly isOffsetKnown: boolean;
  readonly listing: Listing;
  /** A bus that is no root: the capture has lost the bridge above it, and what both have above them is unknown. */
  readonly isLost: boolean;
}

/** The CPU, as far as the kernel's rule asks for it. */
export interface CpuClue {
  readonly vendor: Maybe<string>;
  readonly family: Maybe<number>;
}

interface ListEntry {
  readonly vendor: number;
  /** `null`: any device of the vendor. */
  readonly devices: readonly number[] | null;
  readonly listing: "listed" | "same-bridge-only";
  /** First release with it; `null`: known to be in 7.3, and not when it came. */
  readonly since: KernelVersion | null;
}

const INTEL = 0x8086;

/** Facts of Linux 7.3, drivers/pci/p2pdma.c, with the release in which each entry came. */
const LIST: readonly ListEntry[] = [
  // Sandy Bridge-EP and Haswell-E: across two of them the request would cross QPI, which does badly.
  { vendor: INTEL, devices: [0x3c00, 0x3c01, 0x2f00, 0x2f01], listing: "same-bridge-only", since: [5, 4] },
  // Sky Lake-E: root port A and the host bridge, then ports B to D.
  { vendor: INTEL, devices: [0x2030, 0x2020], listing: "listed", since: [5, 6] },
  { vendor: INTEL, devices: [0x2031, 0x2032, 0x2033], listing: "listed", since: [5, 7] },
  // Third-generation Xeon Scalable and later.
  { vendor: INTEL, devices: [0x09a2], listing: "listed", since: [5, 18] },
  // Roots that hold nothing but accelerators: DSA, IAX and QAT.
  {
    vendor: INTEL,
    devices: [0x0b25, 0x0cfe, 0x11fb, 0x1212, 0x1216, 0x4940, 0x4942, 0x4944, 0x4946, 0x4948],
    listing: "listed",
    since: null,
  },
  { vendor: 0x1ae0, devices: null, listing: "listed", since: null },
  { vendor: 0x10de, devices: [0x2f95, 0x2f96, 0x2f97, 0x2f98], listing: "listed", since: null },
  // Zen's first root complexes, until 5.9 took every AMD CPU of the family.
  { vendor: 0x1022, devices: [0x1450], listing: "listed", since: [5, 2] },
  { vendor: 0x1022, devices: [0x15d0, 0x1630], listing: "listed", since: [5, 8] },
];
/** The release that asks the CPU instead of listing AMD's bridges. */
export const CPU_RULE_SINCE: KernelVersion = [5, 9];
/** Before it, the function that stands for a root had to be 00.0. */
const ANY_ROOT_PORT_SINCE: KernelVersion = [5, 19];
/** The first kernel with this list, and the first with any peer-to-peer DMA. */
export const LIST_SINCE: KernelVersion = [5, 2];
export const P2PDMA_SINCE: KernelVersion = [4, 20];

/** What `kernel`'s list says of the root whose first function is `first`. */
export function listingOf(first: PciFunction, kernel: KernelVersion): Listing {
  if (!standsForRoot(first, kernel)) return "not-listed";
  const ids = idsOf(first);
  if (ids === null || ids === "not-listed") return ids ?? "unknown";
  const { vendor, device } = ids;
  const entry = LIST.find((e) => e.vendor === vendor && (e.devices === null || e.devices.includes(device)));
  if (!entry) return "not-listed";
  // AMD's own entries went when the CPU was asked instead.
  if (vendor === 0x1022 && !isBefore(kernel, CPU_RULE_SINCE)) return "not-listed";
  if (entry.since === null) return isBefore(kernel, [7, 3]) ? "unknown" : entry.listing;
  return isBefore(kernel, entry.since) ? "not-listed" : entry.listing;
}

/** The kernel looks at the first function on the root bus, and only if it is 00.0 or a root port. */
function standsForRoot(first: PciFunction, kernel: KernelVersion): boolean {
  if (first.address.endsWith(":00.0")) return true;
  return first.portType === "root-port" && !isBefore(kernel, ANY_ROOT_PORT_SINCE);
}

interface Ids {
  readonly vendor: number;
  readonly device: number;
}

/** Names that the PCI ID database gives to roots of the list: what `lspci` without `-nn` leaves of the ids. */
const NAMED: readonly (readonly [RegExp, number])[] = [
  [/^Intel Corporation Xeon E5\/Core i7 DMI2/, 0x3c00],
  [/^Intel Corporation Xeon E7 v3\/Xeon E5 v3\/Core i7 (DMI2|PCI Express Root Port 0)/, 0x2f00],
  [/^Intel Corporation Sky Lake-E DMI3 Registers/, 0x2020],
  [/^Intel Corporation Sky Lake-E PCI Express Root Port A/, 0x2030],
  [/^Intel Corporation Sky Lake-E PCI Express Root Port [B-D]/, 0x2031],
  [/^Intel Corporation Ice Lake Memory Map\/VT-d/, 0x09a2],
];
/** How it names the roots of Intel's client CPUs, none of which is on the list. */
const CLIENT = /^Intel Corporation .*(Host Bridge\/DRAM|DRAM Controller)/;

/** Its ids, or those that its name stands for; `null` where neither tells. */
function idsOf({ vendor, device, name }: PciFunction): Ids | "not-listed" | null {
  if (vendor !== null && device !== null) return { vendor, device };
  const byNumber = /^Intel Corporation Device ([0-9a-f]{4})\b/.exec(name);
  if (byNumber) return { vendor: INTEL, device: parseInt(byNumber[1] as string, 16) };
  const named = NAMED.find(([pattern]) => pattern.test(name));
  if (named) return { vendor: INTEL, device: named[1] };
  return CLIENT.test(name) ? "not-listed" : null;
}

/** What is known of the CPU: what the capture says, or else what its functions show. */
export function cpuOf(cpu: Cpu | null, functions: readonly PciFunction[]): CpuClue {
  if (cpu) return { vendor: cpu.vendor, family: cpu.family };
  const family = functions.flatMap(zenFamily)[0];
  if (family !== undefined) return { vendor: "AuthenticAMD", family };
  // Nobody but Intel builds the root of a host whose 00:00.0 is Intel's, except hypervisors, on any CPU.
  const root = functions.find((f) => f.address.endsWith(":00:00.0"));
  if (root && !isEmulated(root) && (root.vendor === INTEL || root.name.startsWith("Intel Corporation")))
    return { vendor: "GenuineIntel", family: "unknown" };
  return { vendor: "unknown", family: "unknown" };
}

/** The chipsets that QEMU, VMware and Hyper-V show their guests. */
const EMULATED_IDS: readonly (number | null)[] = [0x1237, 0x29c0, 0x7190, 0x7192];
const EMULATED_NAMES = /440FX|440BX|82G33\/G31\/P35\/P31/;

function isEmulated({ device, name }: PciFunction): boolean {
  return EMULATED_IDS.includes(device) || EMULATED_NAMES.test(name);
}

/** AMD names parts of its hosts by family: `Family 17h (Models 00h-1fh) Root Complex`. Hygon's have Hygon's name. */
function zenFamily({ name }: PciFunction): number[] {
  const found = /^Advanced Micro Devices.* Family ([0-9a-f]{2})h/.exec(name);
  return found ? [parseInt(found[1] as string, 16)] : [];
}
