/** What may be done with regions of a BAR, and what must come of it when it is done in a row. */
import { type Op, Scheduler } from "@dma-buf/core";
import fc from "fast-check";
import type { MemoryRegion } from "../importer.js";
import type { MrAccess, RegMr } from "../request.js";
import { BAR, PAGE, Rig } from "./rig.js";
import type { VariantId } from "./variants.js";

const PAGES = [7, 2, 3, 9];
const SIZE = PAGES.length * PAGE;

/** Each a thing that is done; what it names by number is not always there. */
export type Act =
  | (Omit<RegMr, "buf" | "iova"> & {
      readonly act: "reg";
      readonly shift: number;
      readonly prefetch: boolean;
      readonly access: MrAccess[];
    })
  | {
      readonly act: "write" | "read";
      readonly mr: number;
      readonly at: number;
      readonly sizeBytes: number;
      readonly value: number;
      readonly side: "local" | "remote";
    }
  | { readonly act: "dereg" | "prefetch" | "toggle"; readonly mr: number };
type Use = Extract<Act, { readonly at: number }>;
type Reg = Extract<Act, { readonly act: "reg" }>;
type Other = Exclude<Act, Use | Reg>;

const access: fc.Arbitrary<MrAccess[]> = fc.subarray<MrAccess>(["local-write", "remote-write", "remote-read"]);
const reg: fc.Arbitrary<Reg> = fc.record({
  act: fc.constant("reg" as const),
  kind: fc.constantFrom("on-demand" as const, "pinned-revocable" as const),
  offset: fc.nat({ max: SIZE - 1 }),
  sizeBytes: fc.oneof(fc.nat({ max: SIZE }), fc.constantFrom(1, PAGE, 2 * PAGE)),
  shift: fc.constantFrom(0, PAGE, 2 ** 21, 2 ** 40),
  access: fc.oneof(
    { weight: 3, arbitrary: fc.constant<MrAccess[]>(["local-write", "remote-write", "remote-read"]) },
    { weight: 1, arbitrary: access },
  ),
  prefetch: fc.boolean(),
});
const use: fc.Arbitrary<Use> = fc.record({
  act: fc.constantFrom("write" as const, "read" as const),
  mr: fc.nat({ max: 3 }),
  at: fc.oneof(fc.constant(0), fc.nat({ max: SIZE })),
  sizeBytes: fc.oneof(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: SIZE })),
  value: fc.integer({ min: 1, max: 255 }),
  side: fc.constantFrom("local" as const, "remote" as const),
});
const other: fc.Arbitrary<Other> = fc.record({
  act: fc.constantFrom("dereg" as const, "prefetch" as const, "toggle" as const),
  mr: fc.nat({ max: 3 }),
});
export const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 2, arbitrary: reg },
  { weight: 5, arbitrary: use },
  { weight: 2, arbitrary: other },
);

/** What the model knows of a region. */
interface Known extends Required<Pick<RegMr, "kind" | "offset" | "sizeBytes" | "access">> {
  readonly mr: MemoryRegion;
  isOut: boolean;
}

const where = (id: string) =>
  id.startsWith("pfn") ? ({ base: "T2", allowlisted: true, machine: { iommu: "translated" } } as const) : ({} as const);

/** Thousands of bytes: `toEqual` would take most of the time. */
const isSame = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export function requestOf(w: { buf: RegMr["buf"] }, { act: _act, shift, ...a }: Reg): RegMr {
  return { ...a, buf: w.buf, iova: a.offset + shift };
}

export class Oracle {
  readonly r: Rig;
  readonly buf: RegMr["buf"];
  readonly vfio: ReturnType<Rig["vfio"]>;
  readonly #bytes = new Uint8Array(SIZE);
  readonly #known: Known[] = [];
  readonly #wrong: string[] = [];
  #isOn = true;

  constructor(id: VariantId, scheduler: Scheduler = new Scheduler()) {
    this.r = new Rig(id, { ...where(id), scheduler });
    this.vfio = this.r.vfio();
    this.buf = this.r.bar(this.vfio, PAGES);
  }

  does(a: Act): void {
    if (a.act === "reg") return this.#reg(a);
    if (a.act === "toggle") return this.#toggle();
    const known = this.#known[a.mr];
    if (!known) return;
    if (a.act === "dereg") {
      this.#check("dereg", this.r.answer(this.r.rdma.deregMr(known.mr)), "ok");
      this.#known.splice(a.mr, 1);
      this.#check(
        "write after dereg",
        this.r.write({ key: known.mr.rkey, iova: known.mr.iova }, 1, 1).kind,
        "protection-error",
      );
    } else if (a.act === "prefetch") {
      const served = this.r.answer(this.r.rdma.prefetch(known.mr)) === "ok";
      this.#check("prefetch", served, known.kind === "on-demand" && this.#isOn);
    } else if ("at" in a) this.#use(known, a);
  }

  /** Everything is given back. What is wrong then, in words. */
  end(): string[] {
    const bytes = PAGES.flatMap((page) => [...this.r.machine.memory.read((BAR + page * PAGE) as never, PAGE)]);
    this.#check("bytes of the BAR", isSame(Uint8Array.from(bytes), this.#bytes), true);
    for (const { mr } of this.#known) this.r.run(this.r.rdma.deregMr(mr));
    return [...this.#wrong, ...this.left()];
  }

  /** The buffer's reference is put. What is left, and who is to blame. */
  left(): string[] {
    const { r } = this;
    r.run(r.fw.put(this.buf));
    const left = { ...r.fw.ledger, ...r.rdma.ledger, dma: r.machine.ledger.dmaMappings };
    const counts = Object.entries(left).flatMap(([what, n]) => (n === 0 ? [] : [`${n} ${what} left`]));
    return [...counts, ...r.fw.findings.map((f) => f.message)];
  }

  #check<T>(what: string, is: T, should: T): void {
    if (is !== should) this.#wrong.push(`${what}: ${String(is)}, and not ${String(should)}`);
  }

  #reg(a: Reg): void {
    const fits = a.sizeBytes > 0 && a.offset + a.sizeBytes <= SIZE;
    const rights = !a.access.includes("remote-write") || a.access.includes("local-write");
    const request = requestOf(this, a);
    const told = this.r.answer(this.#registered(request));
    // Without the memory some exporters refuse at attach, and some only who maps.
    if (!this.#isOn && a.kind === "on-demand" && !a.prefetch) return;
    this.#check("reg", told === "ok", fits && rights && this.#isOn);
  }

  *#registered(request: RegMr): Op<void> {
    const mr = yield* this.r.rdma.regMr(request);
    const { kind, offset, sizeBytes, access: rights = [] } = request;
    if (this.#known.length < 4) this.#known.push({ mr, kind, offset, sizeBytes, access: rights, isOut: false });
    else yield* this.r.rdma.deregMr(mr);
  }

  #toggle(): void {
    this.#isOn = !this.#isOn;
    this.r.run(this.vfio.setMemoryEnabled(this.#isOn));
    for (const known of this.#known) known.isOut ||= known.kind === "pinned-revocable";
  }

  #use(known: Known, { act: what, at, sizeBytes, value, side }: Use): void {
    const needs = side === "remote" ? (`remote-${what}` as const) : what === "write" ? "local-write" : null;
    const isRight = needs === null || known.access.includes(needs);
    const works = isRight && !known.isOut && this.#isOn && at + sizeBytes <= known.sizeBytes;
    const target = { key: known.mr.rkey, iova: known.mr.iova + at, side };
    const from = known.offset + at;
    const result = what === "write" ? this.r.write(target, value, sizeBytes) : this.r.read(target, sizeBytes);
    this.#check(what, result.kind, works ? "done" : "protection-error");
    if (!works || result.kind !== "done") return;
    if (what === "write") this.#bytes.fill(value, from, from + sizeBytes);
    else this.#check("bytes read", isSame(result.bytes, this.#bytes.subarray(from, from + sizeBytes)), true);
  }
}
