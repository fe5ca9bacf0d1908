/** Faults as the two IOMMUs report them: who asked, for which address, and the code of the reason. */
import { hex } from "@dma-buf/core";
import type { FaultReason } from "@dma-buf/page-table";
import type { IommuKind } from "./kind.js";

/**
 * Why a request was stopped. What a walk says, and what is asked before it: `no-entry`, the source has no device entry;
 * `not-allowed`, a translated request of a device whose ATS is off, or one into the interrupt window.
 */
export type Stopped = FaultReason | "no-entry" | "not-allowed";

/** Events of AMD's log. */
export type AmdEvent =
  | "IO_PAGE_FAULT"
  | "ILLEGAL_DEV_TABLE_ENTRY"
  | "PAGE_TAB_HARDWARE_ERROR"
  | "INVALID_DEVICE_REQUEST";

/** Events of an SMMUv3's queue. */
export type SmmuEvent = "C_BAD_STREAMID" | "F_WALK_EABT" | "F_TRANSLATION" | "F_PERMISSION" | "F_TRANSL_FORBIDDEN";

/** What was stopped. */
export interface FaultSource {
  /** The requester id, as the topology writes it: `0000:03:00.0`. */
  readonly source: string;
  /** No request of the model has a PASID. */
  readonly pasid: null;
  /** As the device sent it. */
  readonly address: number;
  readonly access: "read" | "write";
}

/** How the unit reports it: VT-d with a number, AMD with an event and flags, Arm with an event. */
export type FaultReport =
  | { readonly unit: "vt-d"; readonly reason: number }
  /** `flags` has 0x20 for a write. */
  | { readonly unit: "amd-vi"; readonly event: AmdEvent; readonly flags: number }
  | { readonly unit: "smmu-v3"; readonly event: SmmuEvent };

/** One record of a fault. */
export type IommuFault = FaultSource &
  FaultReport & {
    /** The scheduler's step at which it was stopped. */
    readonly step: number;
    /** One line for people. */
    readonly text: string;
  };

const AMD_WRITE = 0x20;

/**
 * Second-stage tables have no present bit, so an empty entry and a forbidden access are the same to VT-d. `not-allowed`
 * is what a legacy context entry without device TLB says to a translated request.
 */
const VTD: Readonly<Record<Stopped, number | null>> = {
  "no-entry": 0x02,
  "address-width": 0x04,
  "not-present": null,
  permission: null,
  "no-memory": 0x07,
  malformed: 0x0c,
  "not-allowed": 0x0d,
};
const VTD_DENIED = { write: 0x05, read: 0x06 } as const;

const AMD: Readonly<Record<Stopped, AmdEvent>> = {
  "no-entry": "ILLEGAL_DEV_TABLE_ENTRY",
  "address-width": "IO_PAGE_FAULT",
  "not-present": "IO_PAGE_FAULT",
  permission: "IO_PAGE_FAULT",
  "no-memory": "PAGE_TAB_HARDWARE_ERROR",
  malformed: "PAGE_TAB_HARDWARE_ERROR",
  "not-allowed": "INVALID_DEVICE_REQUEST",
};

/** A descriptor that cannot be is a translation fault; so is an input address that is too wide. */
const SMMU: Readonly<Record<Stopped, SmmuEvent>> = {
  "no-entry": "C_BAD_STREAMID",
  "address-width": "F_TRANSLATION",
  "not-present": "F_TRANSLATION",
  permission: "F_PERMISSION",
  "no-memory": "F_WALK_EABT",
  malformed: "F_TRANSLATION",
  "not-allowed": "F_TRANSL_FORBIDDEN",
};

/** The report of a fault by a unit of `kind`. */
export function faultRecord(kind: IommuKind, from: FaultSource, stopped: Stopped, step: number): IommuFault {
  const report = reportOf(kind, from.access, stopped);
  const text = `${kind}: ${from.access} by ${from.source} at ${hex(from.address)} stopped, ${codeOf(report)}: ${stopped}`;
  return { ...from, ...report, step, text };
}

function reportOf(kind: IommuKind, access: "read" | "write", stopped: Stopped): FaultReport {
  if (kind === "vt-d") return { unit: kind, reason: VTD[stopped] ?? VTD_DENIED[access] };
  if (kind === "smmu-v3") return { unit: kind, event: SMMU[stopped] };
  return { unit: kind, event: AMD[stopped], flags: access === "write" ? AMD_WRITE : 0 };
}

function codeOf(report: FaultReport): string {
  if (report.unit === "vt-d") return `reason ${hex(report.reason)}`;
  return report.unit === "amd-vi" ? `${report.event}, flags ${hex(report.flags)}` : report.event;
}

/** Records are finite, as in hardware: what comes when all are taken is counted, and its details are lost. */
export class FaultLog {
  readonly #records: IommuFault[] = [];
  readonly #max: number;
  #overflowed = 0;

  constructor(max: number) {
    this.#max = max;
  }

  add(record: IommuFault): void {
    if (this.#records.length < this.#max) this.#records.push(record);
    else this.#overflowed++;
  }

  /** The oldest first. */
  get records(): readonly IommuFault[] {
    return this.#records;
  }

  /** Faults that found no free record. */
  get overflowed(): number {
    return this.#overflowed;
  }

  /** What a driver does when it has read them. */
  clear(): void {
    this.#records.length = 0;
    this.#overflowed = 0;
  }
}
