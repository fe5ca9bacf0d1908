/** Derives a verdict from what happened on the machine: bytes, faults, refusals, ledgers. Nothing else is asked. */
import { type AccessResult, describeEnd, type DmaBufError, type Framework, hex, type RunEnd } from "@dma-buf/core";
import type { Machine } from "@dma-buf/machine";
import type { Rule, Verdict, VerdictKind } from "./result.js";
import { type Content, isWithin, type PhysRange } from "./world/content.js";

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
  "UNSPEC",
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
  readonly rule: Rule;
  readonly error?: DmaBufError;
}

/** Memory that was given up: from when on, and what it was. */
interface GivenUp {
  readonly ranges: readonly PhysRange[];
  readonly since: number;
  readonly what: string;
}

/** An access, and what it should have met. */
export interface Met {
  readonly content: Content;
  readonly offset: number;
  /** Those of the buffer from `offset` on, as they are now; of a write, those that were written. */
  readonly bytes: Uint8Array;
  /** Was the memory taken away when the access ended? */
  readonly isTaken: boolean;
  readonly via: string;
}

export class Judge {
  readonly #fw: Framework;
  readonly #machine: Machine;
  readonly #marks: Mark[] = [];
  readonly #good: Rule[] = [];
  #givenUp: readonly GivenUp[] = [];
  #tablesBefore = 0;
  #patterns = 0;
  #na: string | null = null;

  constructor(fw: Framework, machine: Machine) {
    this.#fw = fw;
    this.#machine = machine;
  }

  /** The actors are there: what is out now is theirs for good. */
  begin(): void {
    this.#tablesBefore = this.#machine.ledger.tables;
  }

  /** Bytes that no other write of the run has, so that what arrived says who sent it. */
  pattern(sizeBytes: number): Uint8Array {
    const seed = ++this.#patterns;
    return Uint8Array.from({ length: sizeBytes }, (_, i) => (i * 31 + seed * 97 + 1) & 0xff);
  }

  /** From now on nobody may reach this memory through the buffer. */
  gaveUp(ranges: readonly PhysRange[], what: string): void {
    this.#givenUp = [...this.#givenUp, { ranges, since: this.#fw.scheduler.steps, what }];
  }

  /** It is the buffer's again. */
  gaveBack(ranges: readonly PhysRange[]): void {
    const isBack = (r: PhysRange): boolean => ranges.some((b) => b.base === r.base && b.sizeBytes === r.sizeBytes);
    this.#givenUp = this.#givenUp.filter((g) => !g.ranges.some(isBack));
  }

  notApplicable(why: string): void {
    this.#na = why;
  }

  refused(error: DmaBufError): void {
    this.#marks.push({ verdict: "REFUSED", rule: { kind: "kernel", id: error.op, text: error.message }, error });
  }

  refusedWhileTaken(who: string, error: DmaBufError): void {
    this.good({ kind: "kernel", id: error.op, text: `${who} asks after the memory was taken away and is refused: ${error.code}` });
  }

  /** Something that an actor saw on the machine, beyond its accesses. */
  mark(verdict: VerdictKind, rule: Rule): void {
    this.#marks.push({ verdict, rule });
  }

  /** Something that went as it should: the last one stands with OK. */
  good(rule: Rule): void {
    this.#good.push(rule);
  }

  /** One access and its end. */
  access(who: string, did: "wrote" | "read", result: AccessResult, met: Met): void {
    const { content, offset, bytes, isTaken, via } = met;
    const stale = this.#staleAccess();
    if (stale)
      return this.mark("STALE", {
        kind: "bytes",
        id: "I2",
        text: `${who} ${did} ${stale.what} at offset ${hex(offset)} after it was given up: its translation had outlived the invalidate`,
      });
    // Memory that was given up may fault or vanish: that is how hardware says so.
    if (isTaken) return this.good({ kind: "bytes", id: "I2", text: `${who} no longer reaches the buffer` });
    if (result.kind === "fault")
      return this.mark("FAULT", { kind: "iommu", id: result.by, text: `${who}: ${result.by} stopped it: ${result.reason}` });
    const seen =
      did === "wrote" ? content.read(offset, bytes.length) : result.kind === "done" ? result.bytes : new Uint8Array(0);
    if (!same(seen, bytes))
      return this.mark("CORRUPT", {
        kind: "bytes",
        id: "I1",
        text: `${bytes.length} bytes that ${who} ${did} are not those of the buffer, and no error says so: ${result.kind === "lost" ? result.reason : "they went elsewhere"}`,
      });
    const arrived = hex(this.#machine.arrivals.at(-1)?.physical ?? 0);
    this.good({ kind: "bytes", id: "I1", text: `${bytes.length} bytes ${did} by ${who} at ${via} are those of the buffer at ${arrived}` });
  }

  /** How the run ended, if not by itself. */
  ended(end: RunEnd): void {
    if (end.kind !== "done") this.mark("HANG", { kind: "kernel", id: "scheduler", text: describeEnd(end) });
  }

  /** After everybody gave back what they took: what is still out is leaked. */
  countLeftovers(): void {
    const { buffers, attachments, mappings, pins, references } = this.#fw.ledger;
    const { dmaMappings, tables } = this.#machine.ledger;
    const left = { buffers, references, attachments, mappings, pins, dmaMappings, tables: tables - this.#tablesBefore };
    const out = Object.entries(left).filter(([, n]) => n !== 0);
    if (out.length > 0)
      this.mark("RESLEAK", { kind: "invariant", id: "I7", text: `never given back: ${out.map(([what, n]) => `${n} ${what}`).join(", ")}` });
    const bug = this.#fw.findings.find((f) => f.level === "bug");
    if (bug) this.mark("CRASH", { kind: "contract", id: bug.requirement, text: bug.message, source: bug.source });
  }

  get verdict(): Verdict {
    if (this.#na !== null) return { verdict: "NA" };
    const kinds = RANK.filter((kind) => this.#marks.some((m) => m.verdict === kind));
    const [first = "OK", ...also] = kinds;
    const error = this.#marks.find((m) => m.verdict === first)?.error;
    return {
      verdict: first,
      ...(error ? { errno: error.code, stage: error.stage } : {}),
      ...(also.length > 0 ? { also } : {}),
    };
  }

  /** What decided. */
  get rule(): Rule {
    if (this.#na !== null) return { kind: "scenario", id: "not applicable", text: this.#na };
    const { verdict } = this.verdict;
    const nothing: Rule = { kind: "bytes", id: "I1", text: "nothing was accessed" };
    return this.#marks.find((m) => m.verdict === verdict)?.rule ?? this.#good.at(-1) ?? nothing;
  }

  /** Memory that the last access reached although it was given up before that. */
  #staleAccess(): GivenUp | null {
    const last = this.#machine.arrivals.at(-1);
    if (last?.physical == null) return null;
    const { physical, step } = last;
    return this.#givenUp.find((g) => step > g.since && isWithin(g.ranges, physical)) ?? null;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
