/**
 * A contract is data and one function. Rows say of each call who must hold what and what it may answer; the life
 * cycle says when it may be called; the policy says what the framework decides; `open` says how an importer comes to
 * see runs of a buffer. Code reads the data; nothing branches on a contract's id.
 */
import type { DmaBufAttachment, DmaBufOps } from "./dma-buf.js";
import type { Stage } from "./error.js";
import type { ErrnoName } from "./contracts/errno.js";
import type { Framework } from "./framework.js";
import type { Op } from "./op.js";
import type { Held } from "./resv.js";
import type { Direction, Run } from "./run.js";

/** A callback of an exporter, by its name in `DmaBufOps`. */
export type ExporterCall = Exclude<keyof DmaBufOps, "interfaces" | "cacheSgtMapping">;
/** A callback of an importer, by its name in `DmaBufAttachOps`. */
export type ImporterCall = "invalidateMappings";
/** A call into the framework, by its name in `Framework`. */
export type FrameworkCall =
  | "export"
  | "get"
  | "put"
  | "nextBuffer"
  | "staticAttach"
  | "dynamicAttach"
  | "detachAttachment"
  | "isRevocable"
  | "pinAttachment"
  | "unpinAttachment"
  | "mapAttachment"
  | "unmapAttachment"
  | "mapAttachmentUnlocked"
  | "unmapAttachmentUnlocked"
  | "getPfnAttachment"
  | "getPfnUnlocked"
  | "invalidate"
  | "beginAccess"
  | "endAccess"
  | "mmapBuffer"
  | "mmapFile"
  | "vmapBuffer"
  | "vunmapBuffer"
  | "vmapBufferUnlocked"
  | "vunmapBufferUnlocked";
/** A call on a buffer's file, by its name in `DmaBufFiles` of `@dma-buf/file`. */
export type FileCall = "fd" | "fdInstall" | "getByFd" | "llseek" | "poll" | "ioctl";
/** A call that has a row. */
export type CallName = ExporterCall | ImporterCall | FrameworkCall | FileCall;

/** What a contract says of one call. */
export interface Row {
  /** The requirement's id: `dma-address/map_dma_buf`. Findings and conformance cases carry it. */
  readonly id: string;
  readonly party: "exporter" | "importer" | "framework" | "file";
  /** Where in the life of a buffer it refuses. */
  readonly stage: Stage;
  /** One sentence. */
  readonly does: string;
  readonly presence: "mandatory" | "optional";
  /** Must be there exactly when this one is. */
  readonly pairedWith?: CallName;
  /** The buffer's reservation when the call begins: held by the caller, not held by the caller, or either. */
  readonly resv: "held" | "free" | "either";
  /** What the call itself does with it: leaves it alone, takes it and gives it back, or may do so. */
  readonly inside: "leaves" | "takes" | "may-take";
  readonly maySleep: boolean;
  /** Who owns what the call returns, and until when. */
  readonly owner: string;
  /** What it may refuse with, and why. */
  readonly errors: Readonly<Partial<Record<ErrnoName, string>>>;
  /** What the kernel only warns about, oopses on or does not see: a finding here. */
  readonly findings: readonly string[];
  /** The kernel's name for it, by kernel version or series. */
  readonly kernelName: Readonly<Record<string, string>>;
  /** Where it is written down. */
  readonly source: string;
}

/** The states of an attachment. */
export type AttachmentState = "attached" | "mapped" | "detached";

/** Which framework calls are allowed in which state of an attachment. */
export type LifeCycle = Readonly<Record<AttachmentState, readonly FrameworkCall[]>>;

/** What the framework decides, as data. */
export interface Policy {
  /**
   * Must an attachment have a device? `unless-no-map`: only if the exporter has a map callback. `for-mapping`: to
   * map, not to attach. `optional`: never.
   */
  readonly device: "always" | "unless-no-map" | "for-mapping" | "optional";
  /** When a static side meets a dynamic one: mapped once at attach, or an exporter that pins is pinned at each map. */
  readonly bridgeStatic: "at-attach" | "at-map";
  /** Must a dynamic importer bring the invalidate callback? */
  readonly invalidate: "mandatory" | "optional";
  /** What a revoke waits for before the memory is given up. */
  readonly drain: readonly ("fences" | "unmap")[];
  /** The callbacks of which an exporter needs at least one. */
  readonly backing: readonly ExporterCall[];
  /** May an exporter let the core keep its first mapping until detach? Linux 6.13: `cache_sgt_mapping`. */
  readonly cacheSgtMapping: boolean;
  /** Can the kernel be built without `CONFIG_DMABUF_MOVE_NOTIFY`? Until Linux 6.13. */
  readonly moveNotifyOption: boolean;
}

/**
 * How one importer sees one buffer. `resv` is how {@link runs} must be called: with the reservation held by the
 * importer (then what it saw stays true until it lets go), or without (then it is true at one instant only, and the
 * importer needs a retry of its own).
 */
export interface Window {
  readonly resv: "held" | "free";
  /** Runs that cover `[offset, offset + sizeBytes)`; the first may begin before it, the last may end after it. */
  runs(offset: number, sizeBytes: number, held: Held | null): Op<readonly Run[]>;
  /** The exporter invalidated: give back what was mapped. Called in the importer's callback, reservation held. */
  drop(held: Held): Op<void>;
  /** Ends the window; takes the reservation if it needs to. */
  close(): Op<void>;
}

/** A column of the comparison. */
export interface Contract {
  /** Printed, never compared. */
  readonly id: string;
  /** One sentence for a reader who has not read the thread. */
  readonly title: string;
  /** The kernel it extends: `6.13`. */
  readonly base: string;
  readonly rows: Readonly<Partial<Record<CallName, Row>>>;
  readonly lifeCycle: LifeCycle;
  readonly policy: Policy;
  /** What was posted or merged so, is known to be wrong, and is kept: each becomes a finding when it bites. */
  readonly defects: readonly Defect[];
  open(framework: Framework, attachment: DmaBufAttachment, direction: Direction): Op<Window>;
}

/** A known defect of a contract as it was posted. */
export interface Defect {
  /** The requirement's id under which the finding is booked: `pfn/defect-pin-leak`. */
  readonly id: string;
  readonly what: string;
  readonly source: string;
}

/** What a contract changes against the one it is made from. */
export interface ContractChanges {
  readonly id: string;
  readonly title: string;
  readonly base?: string;
  readonly add?: Readonly<Partial<Record<CallName, Row>>>;
  readonly remove?: readonly CallName[];
  readonly change?: Readonly<Partial<Record<CallName, Partial<Row>>>>;
  readonly lifeCycle?: Partial<LifeCycle>;
  readonly policy?: Partial<Policy>;
  /** Replaces the base's. */
  readonly defects?: readonly Defect[];
  readonly open?: Contract["open"];
}

/**
 * A contract made from another: what is not named stays. Row ids of the base are renamed to the new contract's.
 * @throws TypeError when it adds a row that is there, or removes or changes one that is not.
 * @example
 * const mine = defineContract(linux73, {
 *   id: "my-series",
 *   title: "Importers must always bring the callback.",
 *   policy: { invalidate: "mandatory" },
 * });
 */
export function defineContract(base: Contract, changes: ContractChanges): Contract {
  const { remove = [], change = {}, add = {}, ...rest } = changes;
  const rows: Partial<Record<CallName, Row>> = {};
  const renamed = (id: string): string => id.replace(`${base.id}/`, `${rest.id}/`);
  for (const [call, row] of entries(base.rows)) rows[call] = { ...row, id: renamed(row.id) };
  for (const call of remove) {
    need(call, "removes");
    delete rows[call];
  }
  for (const [call, changed] of entries(change)) rows[call] = { ...need(call, "changes"), ...changed };
  for (const [call, row] of entries(add)) {
    if (rows[call]) throw new TypeError(`contract ${rest.id} adds ${call}, which ${base.id} has: use change`);
    rows[call] = row;
  }
  const lifeCycle = { ...base.lifeCycle, ...rest.lifeCycle };
  const defects = (rest.defects ?? base.defects).map((d) => ({ ...d, id: renamed(d.id) }));
  return { ...base, ...rest, rows, lifeCycle, defects, policy: { ...base.policy, ...rest.policy } };

  function need(call: CallName, verb: string): Row {
    const row = rows[call];
    if (!row) throw new TypeError(`contract ${rest.id} ${verb} ${call}, which ${base.id} has not`);
    return row;
  }
}

/**
 * The rows of a contract with their names, in the order of the contract.
 * @example
 * const [call, row] = rowsOf(dmaAddress)[0];
 * row.id.startsWith("dma-address/"); // true
 */
export function rowsOf(contract: Contract): [CallName, Row][] {
  return entries(contract.rows);
}

/**
 * What the kernel calls it, in the version that the contract extends.
 * @example
 * kernelName(dmaAddress, "invalidate"); // "dma_buf_move_notify"
 * kernelName(linux73, "invalidate"); // "dma_buf_invalidate_mappings"
 */
export function kernelName(contract: Contract, call: CallName): string {
  const names = contract.rows[call]?.kernelName ?? {};
  return names[contract.base] ?? Object.values(names)[0] ?? call;
}

function entries<T>(record: Readonly<Partial<Record<CallName, T>>>): [CallName, T][] {
  return Object.entries(record) as [CallName, T][];
}
