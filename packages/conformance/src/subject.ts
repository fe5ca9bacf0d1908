/** What is checked: a plugin, the contract it claims, and what it says it can do. */
import type { Contract, DmaBuf, ErrnoName, ExporterCall, Framework, MaySleep, Op, Stage } from "@dma-buf/core";
import type { RecordingHost } from "./recording-host.js";

/** What an exporter may declare. What it does not declare must be absent, or refuse. */
export type ExporterCapability =
  | "map"
  | "get_pfn"
  | "pin"
  | "cpu-access"
  | "mmap"
  | "vmap"
  | "static"
  | "revoke"
  | "move";

/** What an importer may declare. */
export type ImporterCapability = "invalidate" | "peer2peer";

/** The callback behind a capability. */
export const CALLBACK_OF: Readonly<Partial<Record<ExporterCapability, ExporterCall>>> = {
  map: "mapDmaBuf",
  get_pfn: "getPfn",
  pin: "pin",
  "cpu-access": "beginCpuAccess",
  mmap: "mmap",
  vmap: "vmap",
};

interface Subject {
  readonly name: string;
  readonly contract: Contract;
}

/** How many of each, by name: `{ pages: 4, pins: 0 }`. */
export type Counts = Readonly<Record<string, number>>;

/** One exporter in a fresh world. */
export interface ExporterUnderTest {
  /** Exports a buffer of at least two whole pages; the caller gets the reference. */
  export(): MaySleep<DmaBuf>;
  /** With capability `revoke`: takes it away, and gives it back. */
  revoke?(): Op<void>;
  restore?(): Op<void>;
  /** With capability `move`: puts the bytes elsewhere. When it returns, the old place may be used for something else. */
  move?(): Op<void>;
  /** What it holds of its own (places, pages, references), by name. After a buffer's release it must be what it was before. */
  ledger?(): Counts;
}

/** An exporter, for the kit. */
export interface ExporterSubject extends Subject {
  readonly kind: "exporter";
  readonly capabilities: readonly ExporterCapability[];
  create(framework: Framework, host: RecordingHost): ExporterUnderTest;
}

/** One importer in a fresh world. */
export interface ImporterUnderTest {
  /** Attaches, and takes a reference of its own. What is refused leaves nothing, and may be asked again. */
  attach(buf: DmaBuf): Op<void>;
  /**
   * Gets at the buffer: maps or asks, as its contract has it, and installs what it was told. What is refused leaves all as
   * it was, the exporter's mapping and page tables too, and may be asked again. Where the exporter takes the memory away
   * meanwhile it may refuse, or come back with nothing installed.
   */
  use(): Op<void>;
  /** How many runs it has installed now. Also asked before attach, behind a refusal and behind detach: then none. */
  holds(): number;
  /**
   * Where an access to byte `offset` of the buffer would end now, by what is installed: the address that its device or
   * guest would put out, or, where it has a table of its own, what that leads to. `null`: it would fault. Asked behind each
   * step while the exporter takes the memory away, so it must change nothing. Left out, the kit cannot tell a wrong place.
   */
  reaches?(offset: number): number | null;
  detach(): Op<void>;
}

/** An importer, for the kit. */
export interface ImporterSubject extends Subject {
  readonly kind: "importer";
  readonly capabilities: readonly ImporterCapability[];
  /**
   * Its contract cannot serve it: what it must refuse with, and where. Nothing else is tried then.
   * @defaultValue it serves
   */
  readonly refuses?: { readonly code: ErrnoName; readonly stage: Stage };
  /**
   * Does it attach with a `struct device`? A contract may want one only of who attaches to an exporter that maps: then the
   * kit's exporter does not map for an importer that has none.
   * @defaultValue true
   */
  readonly hasDevice?: boolean;
  /**
   * May `use()` install where bytes are still being copied to, since each of its jobs waits for KERNEL fences by itself? The
   * kit runs no jobs: then it does not try that.
   * @defaultValue false
   */
  readonly jobsWait?: boolean;
  create(framework: Framework, host: RecordingHost): ImporterUnderTest;
}
