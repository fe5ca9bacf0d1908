/** The n-th allocation, mapping, page table or answer of the exporter fails, for every n: a refusal leaves all as it was. */
import { DmaBufError, type DmaBufOps, EndSignal, type Op, Scheduler, type Vma } from "@dma-buf/core";
import { eachFailure, type RunWithFailure } from "./each-failure.js";
import { countsOf, importerLife, type ImporterWorld, type LifeOptions } from "./importer-world.js";
import type { KitCase } from "./kit-case.js";
import { messages } from "./recorder.js";
import { checkNothingTaken } from "./refuses.js";
import type { ImporterSubject } from "./subject.js";

/** How a kind of failure is made to happen in a world: `fails` counts, and says when. */
type Injects = (fails: (op: string) => boolean) => LifeOptions;

const KINDS: Readonly<Record<string, { readonly what: string; readonly injects: Injects }>> = {
  "no-memory": { what: "allocation", injects: (allocFails) => ({ allocFails }) },
  "no-mapping": { what: "DMA mapping", injects: (mapFails) => ({ mapFails }) },
  "no-table": { what: "page table", injects: (fails) => ({ tableFails: () => fails("allocTable") }) },
  "exporter-refuses": { what: "exporter's answer", injects: (fails) => ({ change: refusing(fails) }) },
};

/** One case for each kind. */
export function importerFailures(subject: ImporterSubject): KitCase[] {
  return Object.entries(KINDS).map(([name, { what, injects }]) => ({
    name,
    run: () =>
      eachFailure(
        what,
        (n) => failNth(subject, injects, n),
        (count) => `${count} ${what}(s), each failing once: what is refused leaves nothing, and can be asked again`,
      ),
  }));
}

function failNth(subject: ImporterSubject, injects: Injects, n: number): RunWithFailure {
  let [failed, count, armed] = [null as string | null, 0, false];
  const fails = (op: string): boolean => {
    if (!armed || ++count !== n) return false;
    failed = op;
    return true;
  };
  const arm = (on: boolean): void => void (armed = on);
  const fw = importerLife(new Scheduler(), subject, (w) => live(w, arm), { ...injects(fails), injected: "ENOMEM" });
  const counted = fw.findings.filter((f) => f.party !== "exporter" && f.level !== "warn");
  return { failed, broken: messages(counted) };
}

/** Nothing fails in detach, which cannot refuse. */
function* live(w: ImporterWorld, arm: (on: boolean) => void): Op<void> {
  const { importer, exporter, fw } = w;
  arm(true);
  yield* twice(w, "attach", () => importer.attach(exporter.buf));
  yield* twice(w, "use", () => importer.use());
  arm(false);
  if (importer.holds() === 0) fw.breach("mapAttachment", "use() comes back with nothing installed");
  yield* importer.detach();
}

/** What fails once is asked again. */
function* twice(w: ImporterWorld, name: "attach" | "use", ask: () => Op<void>): Op<void> {
  const before = countsOf(w);
  try {
    yield* ask();
  } catch (error) {
    // Who never came back has answered nothing.
    if (error instanceof EndSignal) throw error;
    const { fw, importer } = w;
    if (!(error instanceof DmaBufError)) fw.breach("mapAttachment", `${name}() throws ${String(error)}: refuse`);
    if (importer.holds() > 0) fw.breach("mapAttachment", `${importer.holds()} run(s) are installed behind a refusal`);
    checkNothingTaken(w, before);
    yield* ask();
  }
}

/** Every callback that may refuse does so when it is told to. */
function refusing(fails: (op: string) => boolean): (honest: DmaBufOps) => Partial<DmaBufOps> {
  const no = (op: string): never => {
    const message = "told to refuse once: ask again";
    throw new DmaBufError("ENOMEM", { op, stage: op === "attach" ? "attach" : "map", message });
  };
  return (honest) => {
    const asked = (["attach", "pin", "mapDmaBuf", "getPfn"] as const).map((call) => {
      const callback = honest[call] as (...args: unknown[]) => unknown;
      return [call, (...args: unknown[]) => (fails(call) ? no(call) : callback(...args))] as const;
    });
    return { ...Object.fromEntries(asked), mmap };

    function mmap(buf: Parameters<NonNullable<DmaBufOps["mmap"]>>[0], area: Vma): void {
      if (fails("mmap")) no("mmap");
      void honest.mmap?.(buf, area);
      const { fault } = area;
      area.fault = (page) => (fails("fault") ? no("fault") : (fault as NonNullable<typeof fault>)(page));
    }
  };
}
