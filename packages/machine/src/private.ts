/**
 * Memory that belongs to one VM alone: private RAM, or the BAR of a device that the VM trusts. A platform model,
 * unverified: Linux 7.3 does not yet connect devices to confidential VMs. What becomes of who comes without the owner's
 * trusted path, each range says.
 */
import { DmaBufError, hex, isPageAligned, type PhysAddr } from "@dma-buf/core";

/**
 * What hardware does with who comes without the owner's trusted path: answers ones, and drops writes; refuses with an error;
 * raises a machine check if a CPU comes, and refuses a device; or does not look.
 */
export type Strangers = "ones" | "rejected" | "machine-check" | "let-through";

/** A range with its owner. Addresses are CPU-physical. */
export interface PrivateRange {
  readonly base: PhysAddr;
  readonly sizeBytes: number;
  /** The VM. */
  readonly owner: string;
  /** Who else may: the VM's trusted devices, by name. @defaultValue nobody */
  readonly trusted?: readonly string[];
  /** @defaultValue ones */
  readonly strangers?: Strangers;
}

/** A range, and how many arrivals there had been when it became private and when it was shared again; `null`: not yet. */
export interface PrivateSpan {
  readonly range: PrivateRange;
  readonly from: number;
  readonly until: number | null;
}

/** Which memory is private to whom, now and before. */
export class PrivateMemory {
  readonly #spans: { range: PrivateRange; from: number; until: number | null }[] = [];
  readonly #now: () => number;

  /** @param now arrivals so far: {@link spans} says it */
  constructor(now: () => number) {
    this.#now = now;
  }

  get spans(): readonly PrivateSpan[] {
    return this.#spans;
  }

  /** Ranges that are private now. */
  get ranges(): readonly PrivateRange[] {
    return this.#spans.filter((s) => s.until === null).map((s) => s.range);
  }

  /** @throws DmaBufError `EINVAL` empty, or not aligned to pages · `EBUSY` it overlaps a private one */
  add(range: PrivateRange): PrivateRange {
    const { base, sizeBytes, owner } = range;
    if (!(sizeBytes > 0 && isPageAligned(base) && isPageAligned(sizeBytes)))
      throw refused(
        "EINVAL",
        range,
        `${hex(base)} and ${hex(sizeBytes)} bytes: memory is private by the page, align both`,
      );
    const other = this.ranges.find((r) => r.base < base + sizeBytes && base < r.base + r.sizeBytes);
    if (other)
      throw refused("EBUSY", range, `${hex(base)} is private to ${other.owner}: ${owner} must wait until it is shared`);
    this.#spans.push({ range, from: this.#now(), until: null });
    return range;
  }

  /** Makes a range shared again. Its bytes stay: the owner scrubs them first. */
  remove(range: PrivateRange): void {
    const span = this.#spans.find((s) => s.range === range && s.until === null);
    if (span) span.until = this.#now();
  }

  /** Why `by` is kept from this byte; `null` if it is not. A VM's vCPUs come by {@link vmPath}. */
  refusal(by: string, physical: number): string | null {
    const range = this.secretTo(by, physical);
    return range && range.strangers !== "let-through" ? `${hex(physical)} is private to ${range.owner}` : null;
  }

  /** The range in which this byte is none of `by`'s business, whether or not anything keeps it out; `null`: there is none. */
  secretTo(by: string, physical: number): PrivateRange | null {
    return this.ranges.find((range) => covers(range, physical) && !isTrusted(range, by)) ?? null;
  }
}

/** Is `by` the path of the owner's vCPUs, or a device that it trusts? */
export function isTrusted({ owner, trusted = [] }: PrivateRange, by: string): boolean {
  return by === vmPath(owner) || trusted.includes(by);
}

/** The path of a VM's vCPUs to memory. Nobody else comes by it, whatever his name is. */
export function vmPath(vm: string): string {
  return `VM ${vm}`;
}

/** The path of a CPU of the host: no VM's, and no device's that a VM trusts. */
export function hostPath(cpu: string): string {
  return `host ${cpu}`;
}

function refused(code: "EINVAL" | "EBUSY", { base, sizeBytes, owner }: PrivateRange, message: string): DmaBufError {
  return new DmaBufError(code, { op: "make private", stage: "memslot", message, values: { base, sizeBytes, owner } });
}

function covers({ base, sizeBytes }: PrivateRange, at: number): boolean {
  return base <= at && at < base + sizeBytes;
}
