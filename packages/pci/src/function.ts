/** A PCI function as a capture or code describes it. Addresses are CPU-physical; sizes are bytes. */
import type { PhysAddr } from "@dma-buf/core";

export interface Bar {
  /** 0 to 5. */
  readonly index: number;
  readonly space: "memory" | "io";
  readonly base: PhysAddr;
  readonly sizeBytes: number;
  readonly prefetchable: boolean;
  readonly bits: 32 | 64;
  /** False where lspci says `[disabled]`. */
  readonly enabled: boolean;
}

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
  /** `0000:01:00.0` */
  readonly address: string;
  readonly className: string;
  readonly name: string;
  /** From `lspci -nn`; `null` where the capture has only names. */
  readonly vendor: number | null;
  readonly device: number | null;
  readonly bars: readonly Bar[];
  readonly bridge: Bridge | null;
  /** `null`: the function has no ACS. `unknown`: the capture does not say. */
  readonly acs: Acs | null | "unknown";
  readonly portType: PortType;
  readonly driver: string | null;
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

export const NO_ACS_BITS: AcsBits = {
  SrcValid: false,
  TransBlk: false,
  ReqRedir: false,
  CmpltRedir: false,
  UpstreamFwd: false,
  EgressCtrl: false,
  DirectTrans: false,
};
