/** What the lines about one function said so far. */
import type { AcsBits, Bar, BridgeWindow, PortType, UnsizedBar } from "../function.js";

export interface Said {
  readonly address: string;
  readonly bars: Bar[];
  readonly unsizedBars: UnsizedBar[];
  readonly windows: BridgeWindow[];
  /** BARs of `lspci -v`, which numbers none. */
  unnumbered: number;
  /** Lines up to the next capability are about VFs. */
  inSriov: boolean;
  buses: readonly [number, number, number] | null;
  /** From `Control:`; from `Flags:`, which does not say whether memory decodes. */
  command: { readonly busMaster: boolean; readonly memory: boolean | null } | null;
  acs: { capability: AcsBits | null; control: AcsBits | null };
  ats: { queueDepth: number | null; enabled: boolean | null };
  /** Express capability; `null`: none seen. */
  express: PortType | null;
  hasCapabilities: boolean;
  /** ACS or ATS is there, and this verbosity does not show it. */
  hidesAcs: boolean;
  hidesAts: boolean;
  /** A line about a window is there, and cut. */
  losesWindows: boolean;
  accessDenied: boolean;
  driver: string | null;
  iommuGroup: number | null;
  numaNode: number | null;
  vfs: { count: number; offset: number; stride: number };
}

/** Before any line. */
export function silent(address: string): Said {
  return {
    address,
    bars: [],
    unsizedBars: [],
    windows: [],
    unnumbered: 0,
    inSriov: false,
    buses: null,
    command: null,
    acs: { capability: null, control: null },
    ats: { queueDepth: null, enabled: null },
    express: null,
    hasCapabilities: false,
    hidesAcs: false,
    hidesAts: false,
    losesWindows: false,
    accessDenied: false,
    driver: null,
    iommuGroup: null,
    numaNode: null,
    vfs: { count: 0, offset: 0, stride: 0 },
  };
}
