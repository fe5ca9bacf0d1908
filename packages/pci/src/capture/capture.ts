/** What was read of a host: its functions, what is known of it besides, and what is not. */
import type { Maybe, PciFunction } from "../function.js";

/** A fact that the capture does not hold and that answers depend on. */
export interface Unknown {
  /** The fact: `ACS of 0000:00:1b.0`. */
  readonly what: string;
  /** Why it is not there: `lspci was not run as root`. */
  readonly because: string;
  /** What to capture: `sudo lspci -vvv`. */
  readonly capture: string;
}

/** A piece of the capture that could not be read. Nothing is left out without one of these. */
export interface Skipped {
  /** `line 12` of a text, a path in a tree. */
  readonly where: string;
  /** What stands there, cut to 80 characters. */
  readonly text: string;
  readonly because: string;
}

export interface Cpu {
  /**
   * As in /proc/cpuinfo: `AuthenticAMD`, `GenuineIntel`, `HygonGenuine`. What is no x86 names no vendor: it is `Arm`, or the
   * text of `uarch` or `isa` (RISC-V) or `cpu` (POWER). Of any vendor but `AuthenticAMD` the kernel's rule about CPUs says
   * that peers may not reach each other across host bridges.
   */
  readonly vendor: string;
  /** The displayed family: 0x17 is Zen. 0 for what is no x86. */
  readonly family: number;
  /** 0 for what is no x86. */
  readonly model: number;
}

/** The host around its PCI functions. */
export interface HostFacts {
  readonly cpu: Cpu | null;
  /** `uname -r`. */
  readonly kernelRelease: string | null;
  /** /proc/cmdline. */
  readonly commandLine: string | null;
  /** Does an IOMMU translate? `off`: the kernel uses none. */
  readonly iommu: Maybe<"on" | "off">;
  /** Default domain by IOMMU group: `DMA`, `DMA-FQ`, `identity`, … as sysfs says. Empty where not said. */
  readonly domainTypes: ReadonlyMap<number, string>;
  /**
   * `bus address = CPU physical address - offset`, bytes, by root bus `0000:00`. Known where a capture has both numbers:
   * sysfs has resources and config space. A root that is not in it is unknown.
   */
  readonly busOffsets: ReadonlyMap<string, number>;
}

export interface Capture {
  /** Its name in messages: a file name. */
  readonly source: string;
  readonly format: "lspci" | "lspci-hex" | "sysfs" | "json";
  readonly functions: readonly PciFunction[];
  readonly host: HostFacts;
  readonly unknown: readonly Unknown[];
  readonly skipped: readonly Skipped[];
}
