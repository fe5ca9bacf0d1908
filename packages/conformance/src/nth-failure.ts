/** The n-th allocation, mapping or callback fails, for every n there is: calls refuse, and nothing is left. */
import { type DmaBuf, DmaBufError, type MaySleep, type Op, perform, Scheduler } from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { eachFailure, type RunWithFailure } from "./each-failure.js";
import { classImporter } from "./importers/classes.js";
import type { ExporterSubject } from "./subject.js";
import type { KitCase } from "./kit-case.js";
import { messages } from "./recorder.js";
import { exporterUnderTest } from "./under-test.js";
import { staticUse, tryOut } from "./try-out.js";
import {
  can,
  checkGivenBack,
  checkNothingLeft,
  deviceOf,
  type ExporterWorld,
  lookThrough,
  freshWorld,
} from "./world.js";

/** The names of the cases, and what fails in each. */
const KINDS = { "no-memory": "allocation", "no-mapping": "mapping", "throwing-callback": "callback" } as const;
type Kind = (typeof KINDS)[keyof typeof KINDS];

/** What is asked of an exporter besides being mapped. */
const OFFERS = ["get_pfn", "pin", "cpu-access", "mmap", "vmap"] as const;

/** One case for each kind of failure. */
export function nthFailures(subject: ExporterSubject): KitCase[] {
  return Object.entries(KINDS).map(([name, kind]) => ({
    name,
    run: () =>
      eachFailure(
        kind,
        (n) => failNth(subject, kind, n),
        (count) => titleOf(kind, count),
      ),
  }));
}

/** The core allocates as well: a count alone does not say that the exporter does. */
function titleOf(kind: Kind, count: number): string {
  return `${count} ${kind}(s)${kind === "allocation" ? ", the core's among them" : ""}, each failing once`;
}

function failNth(subject: ExporterSubject, kind: Kind, n: number): RunWithFailure {
  let failed: string | null = null;
  let count = 0;
  const fails = (op: string): boolean => {
    if (++count !== n) return false;
    failed = op;
    return true;
  };
  const never = (): boolean => false;
  const fresh = freshWorld(new Scheduler(), subject, {
    allocFails: kind === "allocation" ? fails : never,
    injected: "ENOMEM",
    mapFails: kind === "mapping" ? fails : never,
  });
  fresh.run("export", function* () {
    // An exporter may well allocate when it is made.
    const exporter = yield* orNothing(() => exporterUnderTest(subject, fresh.fw, fresh.host));
    if (!exporter) return checkGivenBack(fresh);
    const w = { ...fresh, subject, exporter };
    const before = exporter.ledger?.() ?? {};
    const buf = yield* orNothing(() => exporter.export());
    if (buf) yield* live(w, buf, kind === "callback" ? fails : never);
    checkNothingLeft(w, before);
  });
  const { findings } = fresh.fw;
  // The importer that throws is the kit's own; what the core warns of is how it refuses.
  return { failed, broken: messages(findings.filter((f) => f.party !== "importer" && f.level !== "warn")) };
}

/** All that an exporter is asked to do, once; whatever is refused is passed over. */
function* live(w: ExporterWorld, buf: DmaBuf, fails: (op: string) => boolean): Op<void> {
  const { fw, exporter } = w;
  const importer = classImporter("zap", { framework: fw, arrived() {}, look: (at) => lookThrough(w, at), told });
  if (yield* accepted(importer.attach(buf, deviceOf(w)))) {
    for (const way of ["revoke", "restore", "move"] as const) {
      yield* accepted(importer.use());
      const op = exporter[way]?.();
      if (op) yield* accepted(op);
      if (buf.resv.locked) return fw.breach("invalidate", `${way}() comes back holding ${buf.resv.name}: give it back`);
    }
    yield* accepted(importer.use());
    yield* importer.close();
  }
  for (const capability of OFFERS) if (can(w, capability)) yield* accepted(tryOut(w, buf, capability));
  if (can(w, "static")) yield* accepted(staticUse(w, buf));
  yield* fw.put(buf);

  function told(): void {
    if (fails("invalidate_mappings"))
      throw new DmaBufError("EINTR", { op: "importer", stage: "map", message: "told to throw: expect it of nobody" });
  }
}

function* orNothing<T>(make: () => MaySleep<T>): Op<T | null> {
  try {
    return yield* perform(make());
  } catch (error) {
    if (error instanceof DmaBufError) return null;
    throw error;
  }
}
