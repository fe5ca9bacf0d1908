/** Derives a verdict from what happened on the machine: bytes, faults, refusals, ledgers. Nothing else is asked. */
import { type AccessResult, describeEnd, type DmaBufError, type Framework, hex, type RunEnd } from "@dma-buf/core";
import type { Machine } from "@dma-buf/machine";
import type { Verdict, VerdictKind } from "./result.js";

/** Worst in trust first, then in data, then in service. */
const RANK: readonly VerdictKind[] = [
  "DISCLOSE",
  "STALE",
  "CORRUPT",
  "CRASH",
  "HANG",
  "RESLEAK",
  "FAULT",
  "REFUSED",
  "DEGRADED",
  "OK",
];

/** How bad a verdict is: larger is worse. */
export function badness({ verdict }: Verdict): number {
  const at = RANK.indexOf(verdict);
  return at === -1 ? 0 : RANK.length - at;
}

interface Mark {
  readonly verdict: VerdictKind;
  readonly rule: string;
  readonly error?: DmaBufError;
}

export class Judge {
  readonly #fw: Framework;
  readonly #machine: Machine;
  readonly #bar: { readonly base: number; readonly sizeBytes: number };
  readonly #tablesBefore: number;
  readonly #marks: Mark[] = [];
  readonly #good: string[] = [];
  /** The step at which the last revoke was done; `null` while the memory is given. */
  #revokedSince: number | null = null;

  constructor(fw: Framework, machine: Machine, bar: { readonly base: number; readonly sizeBytes: number }) {
    this.#fw = fw;
    this.#machine = machine;
    this.#bar = bar;
    this.#tablesBefore = machine.ledger.tables;
  }

  revoked(on: boolean): void {
    this.#revokedSince = on ? this.#fw.scheduler.steps : null;
  }

  refused(error: DmaBufError): void {
    this.#marks.push({ verdict: "REFUSED", rule: error.message, error });
  }

  refusedWhileRevoked(who: string, error: DmaBufError): void {
    this.#good.push(`${who} asks again after the revoke and is refused: ${error.code}`);
  }

  /** One access and its end, with the bytes that should be in the buffer at `offset` now. */
  access(
    who: string,
    did: "wrote" | "read",
    result: AccessResult,
    at: { offset: number; bytes: Uint8Array; revoked: boolean; via: string },
  ): void {
    const { offset, bytes } = at;
    if (this.#isStale())
      return this.#mark(
        "STALE",
        `${who} ${did} the BAR at offset ${hex(offset)} after the revoke was done: its translation had outlived the invalidate`,
      );
    // Memory that was given up may fault or vanish: that is how hardware says so.
    if (at.revoked) return void this.#good.push(`${who} no longer reaches the BAR`);
    if (result.kind === "fault") return this.#mark("FAULT", `${who}: ${result.by} stopped it: ${result.reason}`);
    const seen =
      did === "wrote"
        ? this.#machine.memory.read(this.#bar.base + offset, bytes.length)
        : result.kind === "done"
          ? result.bytes
          : new Uint8Array(0);
    if (!same(seen, bytes))
      return this.#mark(
        "CORRUPT",
        `${bytes.length} bytes that ${who} ${did} are not those of the BAR, and no error says so: ${result.kind === "lost" ? result.reason : "they went elsewhere"}`,
      );
    const arrived = hex(this.#machine.arrivals.at(-1)?.physical ?? 0);
    this.#good.push(`${bytes.length} bytes ${did} by ${who} at ${at.via} are those of the BAR at ${arrived}`);
  }

  /** How the run ended, if not by itself. */
  ended(end: RunEnd): void {
    if (end.kind !== "done") this.#mark("HANG", describeEnd(end));
  }

  /** After everybody gave back what they took: what is still out is leaked. */
  countLeftovers(): void {
    const { buffers, attachments, mappings, pins, references } = this.#fw.ledger;
    const { dmaMappings, tables } = this.#machine.ledger;
    const left = { buffers, references, attachments, mappings, pins, dmaMappings, tables: tables - this.#tablesBefore };
    const out = Object.entries(left).filter(([, n]) => n !== 0);
    if (out.length > 0) this.#mark("RESLEAK", `never given back: ${out.map(([what, n]) => `${n} ${what}`).join(", ")}`);
    if (this.#fw.findings.some((f) => f.level === "bug"))
      this.#mark("CRASH", this.#fw.findings.find((f) => f.level === "bug")?.message ?? "");
  }

  get verdict(): Verdict {
    const kinds = RANK.filter((kind) => this.#marks.some((m) => m.verdict === kind));
    const [first = "OK", ...also] = kinds;
    const error = this.#marks.find((m) => m.verdict === first)?.error;
    return {
      verdict: first,
      ...(error ? { errno: error.code, stage: error.stage } : {}),
      ...(also.length > 0 ? { also } : {}),
    };
  }

  /** What decided, in one line. */
  get rule(): string {
    const { verdict } = this.verdict;
    return this.#marks.find((m) => m.verdict === verdict)?.rule ?? this.#good.at(-1) ?? "nothing was accessed";
  }

  /** Did the last access reach the buffer although it was given up before that? */
  #isStale(): boolean {
    const last = this.#machine.arrivals.at(-1);
    if (this.#revokedSince === null || last?.physical == null || last.step <= this.#revokedSince) return false;
    return last.physical >= this.#bar.base && last.physical < this.#bar.base + this.#bar.sizeBytes;
  }

  #mark(verdict: VerdictKind, rule: string): void {
    this.#marks.push({ verdict, rule });
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
