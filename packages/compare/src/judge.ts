/** Derives a verdict from what happened on the machine: bytes, faults, refusals, ledgers. Nothing else is asked. */
import { type AccessResult, type DmaBufError, type Framework, hex, type RunEnd } from "@dma-buf/core";
import type { Machine } from "@dma-buf/machine";
import { staleRule, stopRule, waitRule } from "./access-rule.js";
import { routeRule, ruleOfRefusal, type Where } from "./refusal-rule.js";
import type { Rule, Verdict, VerdictKind } from "./result.js";
import { type Compromise, type Content, isWithin, type PhysRange } from "./world/content.js";

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

/** A write that may not be there yet: who reads there next decides. */
interface UnderWay {
  readonly content: Content;
  readonly offset: number;
  readonly bytes: Uint8Array;
  readonly before: Uint8Array;
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
  readonly #where: Where;
  readonly #marks: Mark[] = [];
  readonly #good: Rule[] = [];
  readonly #underWay: UnderWay[] = [];
  #givenUp: readonly GivenUp[] = [];
  #tablesBefore = 0;
  #patterns = 0;
  #na: Rule | null = null;

  constructor(fw: Framework, machine: Machine, where: Pick<Where, "exporter" | "devices">) {
    this.#fw = fw;
    this.#machine = machine;
    this.#where = { ...where, machine, contract: fw.contract };
  }

  /** The actors are there: what is out now is theirs for good. */
  begin(): void {
    this.#tablesBefore = this.#machine.ledger.tables;
  }

  /** Bytes that no other write of the run has, so that what arrived says who sent it. */
  pattern(sizeBytes: number): Uint8Array {
    const seed = ++this.#patterns;
    const bytes = new Uint8Array(sizeBytes);
    for (let i = 0; i < sizeBytes; i++) bytes[i] = i * 31 + seed * 97 + 1;
    return bytes;
  }

  /** These bytes are on their way: whoever reads them next must find them. */
  willWrite(content: Content, offset: number, bytes: Uint8Array): void {
    this.#underWay.push({ content, offset, bytes, before: content.read(offset, bytes.length) });
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

  notApplicable(rule: Rule): void {
    this.#na = rule;
  }

  /** A step was refused without which there is no question. */
  refusedGiven(error: DmaBufError): void {
    this.#na = ruleOfRefusal(error, this.#where);
  }

  refused(error: DmaBufError): void {
    this.#marks.push({ verdict: "REFUSED", rule: ruleOfRefusal(error, this.#where), error });
  }

  refusedWhileTaken(who: string, error: DmaBufError): void {
    const text = `${who} asks after the memory was taken away and is refused: ${error.code}`;
    this.good({ ...ruleOfRefusal(error, this.#where), text });
  }

  /** The guest itself refuses: there is no errno of the host. */
  guestRefused(text: string): void {
    this.mark("REFUSED", { kind: "device", id: "report", text });
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
      return this.mark(
        "STALE",
        staleRule(this.#where.contract, `${who} ${did} ${stale.what} at offset ${hex(offset)} after it was given up`),
      );
    const secret = this.#disclosed();
    if (secret) return this.mark("DISCLOSE", { kind: "invariant", id: "I6", text: `${who} ${did} ${secret}` });
    // Memory that was given up may fault or vanish: that is how hardware says so.
    if (isTaken) return this.good({ kind: "bytes", id: "I2", text: `${who} no longer reaches the buffer` });
    if (result.kind === "fault")
      return this.mark(result.by === "a machine check" ? "CRASH" : "FAULT", stopRule(who, result));
    const seen =
      did === "wrote" ? content.read(offset, bytes.length) : result.kind === "done" ? result.bytes : new Uint8Array(0);
    const last = did === "read" ? this.#lastWrite(met) : undefined;
    if (last && same(seen, last.before))
      return this.mark("STALE", {
        kind: "invariant",
        id: "I9",
        text: `${who} reads at offset ${hex(offset)} what was there before the last write, which stays in a copy`,
      });
    const isMissed = !same(seen, last?.bytes ?? bytes);
    if (isMissed && this.#isRemoved)
      return this.mark("FAULT", {
        kind: "port",
        id: this.#where.exporter,
        text: `${who} ${did} what was pulled out: the port above answers with an unsupported request, and its link is down`,
      });
    if (isMissed) return this.mark("CORRUPT", this.#missed(who, did, result, bytes.length));
    const compromise = content.compromise?.();
    if (compromise) this.mark("DEGRADED", this.#compromised(compromise));
    const arrived = hex(this.#machine.arrivals.at(-1)?.physical ?? 0);
    this.good({
      kind: "bytes",
      id: "I1",
      text: `${bytes.length} bytes ${did === "read" ? "read" : "written"} by ${who} at ${via} are those of the buffer at ${arrived}`,
    });
  }

  /** How the run ended, if not by itself. */
  ended(end: RunEnd, isTaken: boolean): void {
    if (end.kind !== "done") this.mark("HANG", waitRule(end, isTaken));
  }

  /** After everybody gave back what they took: what is still out is leaked. */
  countLeftovers(): void {
    const { buffers, attachments, mappings, pins, references } = this.#fw.ledger;
    const { dmaMappings, tables } = this.#machine.ledger;
    const left = { buffers, references, attachments, mappings, pins, dmaMappings, tables: tables - this.#tablesBefore };
    const out = Object.entries(left).filter(([, n]) => n !== 0);
    if (out.length > 0)
      this.mark("RESLEAK", {
        kind: "invariant",
        id: "I7",
        text: `never given back: ${out.map(([what, n]) => `${n} ${what}`).join(", ")}`,
      });
    const bug = this.#fw.findings.find((f) => f.level === "bug");
    if (bug) this.mark("CRASH", { kind: "contract", id: bug.requirement, text: bug.message, source: bug.source });
  }

  get verdict(): Verdict {
    if (this.#na !== null) return { verdict: "NA" };
    const kinds = RANK.filter((kind) => this.#marks.some((m) => m.verdict === kind));
    const [first = "OK", ...also] = kinds;
    const { error } = this;
    return {
      verdict: first,
      ...(error ? { errno: error.code, stage: error.stage } : {}),
      ...(first === "REFUSED" && !error ? { errno: "GUEST", stage: "guest" } : {}),
      ...(also.length > 0 ? { also } : {}),
    };
  }

  /** What the verdict's refusal was refused with; `null`: it is none. */
  get error(): DmaBufError | null {
    const worst = this.#worst;
    return (worst && this.#marks.find((m) => m.verdict === worst)?.error) ?? null;
  }

  get #worst(): VerdictKind | undefined {
    return RANK.find((kind) => this.#marks.some((m) => m.verdict === kind));
  }

  /** What decided. */
  get rule(): Rule {
    if (this.#na !== null) return this.#na;
    const { verdict } = this.verdict;
    const nothing: Rule = { kind: "bytes", id: "I1", text: "nothing was accessed" };
    return this.#marks.find((m) => m.verdict === verdict)?.rule ?? this.#good.at(-1) ?? nothing;
  }

  /** Who lost the bytes, or sent them elsewhere. */
  #missed(who: string, did: "wrote" | "read", result: AccessResult, sizeBytes: number): Rule {
    const what = `${sizeBytes} bytes that ${who} ${did} are not those of the buffer, and no error says so:`;
    const { at, physical } = this.#machine.arrivals.at(-1) ?? {};
    if (result.kind === "lost")
      return { ...(at ? { kind: "port", id: at } : { kind: "bytes", id: "I1" }), text: `${what} ${result.reason}` };
    if (did === "read" && this.#machine.cpuCache)
      return { kind: "invariant", id: "I9", text: `${what} it went past caches that have newer ones` };
    const elsewhere = physical == null ? "elsewhere" : hex(physical);
    const how = did === "read" ? `they came from ${elsewhere}` : `they went to ${elsewhere}`;
    return { kind: "bytes", id: "I1", text: `${what} ${how}` };
  }

  /** A buffer that an importer reaches by a worse path: the port that keeps it from the better one, where one does. */
  #compromised({ text, by }: Compromise): Rule {
    const route = this.#where.devices.includes(by) ? routeRule(by, this.#where, text) : null;
    return route?.mapType === "not-supported"
      ? { ...route.rule, text: `${text}: ${route.reason}` }
      : { kind: "bytes", id: "I1", text };
  }

  get #isRemoved(): boolean {
    const { functions, topology } = this.#machine;
    return functions.isRemoved(topology.get(this.#where.exporter));
  }

  #lastWrite({ content, offset, bytes }: Met): UnderWay | undefined {
    const isHere = (w: UnderWay): boolean =>
      w.content === content && w.offset === offset && w.bytes.length === bytes.length;
    return this.#underWay.findLast(isHere);
  }

  /** Bytes of one VM's that the last access reached by nobody's trusted path, in words. */
  #disclosed(): string | null {
    const { by, issued, physical } = this.#machine.arrivals.at(-1) ?? {};
    if (by === undefined || physical == null) return null;
    const range = this.#machine.private.secretTo(issued?.trust ?? by, physical);
    return range && `bytes at ${hex(physical)} that are private to ${range.owner}, and nothing on the way stopped it`;
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
