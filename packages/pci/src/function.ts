/** A PCI function as a capture or code describes it. Addresses are CPU-physical; sizes are bytes. */
import type { PhysAddr } from "@dma-buf/core";

/** What a capture may leave out. */
export type Maybe<T> = T | "unknown";

export interface Bar {
  /** 0 to 5; 7 to 12 are the BARs that a PF holds for its VFs. */
  readonly index: number;
  readonly space: "memory" | "io";
  readonly base: PhysAddr;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
  readonly bits: 32 | 64;
  /** False where lspci says `[disabled]`, or no address is assigned. */
  readonly enabled: boolean;
}

/** A BAR whose address is known and whose size is not: registers hold no size. */
export type UnsizedBar = Omit<Bar, "sizeBytes" | "enabled">;

/** Names as lspci prints them. */
export interface AcsBits {
  readonly SrcValid: boolean;
  readonly TransBlk: boolean;
  readonly ReqRedir: boolean;
  readonly CmpltRedir: boolean;
  readonly UpstreamFwd: boolean;
  readonly EgressCtrl: boolean;
  readonly DirectTrans: boolean;
}

export interface Acs {
  readonly capability: AcsBits;
  readonly control: AcsBits;
}

/** Address Translation Services. */
export interface Ats {
  readonly enabled: boolean;
  /** Invalidation requests the device can hold; 0 stands for 32, as in the register. */
  readonly queueDepth: number;
}

export interface BridgeWindow {
  readonly kind: "memory" | "prefetchable" | "io";
  readonly base: PhysAddr;
  readonly sizeBytes: number;
}

export interface Bridge {
  readonly primary: number;
  readonly secondary: number;
  readonly subordinate: number;
  readonly windows: readonly BridgeWindow[];
}

export type PortType =
  | "root-port"
  | "upstream-port"
  | "downstream-port"
  | "endpoint"
  | "pci-bridge"
  | "integrated"
  | "unknown";

export interface PciFunction {
  /** `0000:01:00.0`; the domain has four hex digits or more. */
  readonly address: string;
  /** Class, subclass and interface in one number, 0x030000; `null` where the capture has only the name. */
  readonly classCode: number | null;
  /** In words, `VGA compatible controller`; empty where the capture has only the number. */
  readonly className: string;
  readonly name: string;
  /** From `lspci -n`, `-nn` or config space; `null` where the capture has only names. */
  readonly vendor: number | null;
  readonly device: number | null;
  readonly bars: readonly Bar[];
  /** BARs that nothing can be sent to, for want of a size. {@link Capture.unknown} names them. */
  readonly unsizedBars: readonly UnsizedBar[];
  readonly bridge: Bridge | null;
  /** `null`: the function has no ACS. `unknown`: the capture does not say. */
  readonly acs: Maybe<Acs | null>;
  /** `null`: the function has no ATS. */
  readonly ats: Maybe<Ats | null>;
  readonly portType: PortType;
  /** Does the header say that the device has several functions? */
  readonly multiFunction: Maybe<boolean>;
  readonly driver: string | null;
  /** `null`: in none, or not said; {@link Capture.unknown} tells which. */
  readonly iommuGroup: number | null;
  /** `null`: not said. The kernel's -1 is `null` too. */
  readonly numaNode: number | null;
  /** The PF of a VF; `null` for what is none. */
  readonly physfn: string | null;
  readonly busMaster: boolean;
  readonly memoryEnabled: boolean;
}

/** The parts of `0000:01:00.0`. */
export function partsOf(address: string): {
  readonly domain: number;
  readonly bus: number;
  readonly device: number;
  readonly fn: number;
} {
  const [domain, bus, rest] = address.split(":") as [string, string, string];
  const [device, fn] = rest.split(".") as [string, string];
  return { domain: parseInt(domain, 16), bus: parseInt(bus, 16), device: parseInt(device, 16), fn: parseInt(fn, 16) };
}

/** An endpoint of which nothing is known but its address: what functions made in code begin with. */
export function blankFunction(address: string): PciFunction {
  return {
    address,
    name: "",
    classCode: null,
    className: "",
    vendor: null,
    device: null,
    bars: [],
    unsizedBars: [],
    bridge: null,
    acs: null,
    ats: null,
    portType: "endpoint",
    multiFunction: false,
    driver: null,
    iommuGroup: null,
    numaNode: null,
    physfn: null,
    busMaster: true,
    memoryEnabled: true,
  };
}

export const NO_ACS_BITS: AcsBits = {
  SrcValid: false,
  TransBlk: false,
  ReqRedir: false,
  CmpltRedir: false,
  UpstreamFwd: false,
  EgressCtrl: false,
  DirectTrans: false,
};

/** Are these on a root bus? If not, and no bridge leads to their bus, the capture has lost that bridge. */
export function isRootBus(there: readonly PciFunction[]): boolean {
  return there.some((fn) => {
    const isHostBridge = fn.className === "Host bridge" || (fn.classCode ?? 0) >>> 8 === 0x0600;
    const isBelowRoot = fn.portType === "root-port" || fn.portType === "integrated";
    return partsOf(fn.address).bus === 0 || isHostBridge || isBelowRoot;
  });
}
