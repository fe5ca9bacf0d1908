/** Plugins for the kit's own tests: the references, open to be broken. */
import type { Contract, DmaBufOps, Op } from "@dma-buf/core";
import { check } from "./check.js";
import { referenceExporter } from "./reference-exporter.js";
import { ReferenceImporter } from "./reference-importer.js";
import type { ExporterCapability, ExporterSubject, ImporterSubject } from "./subject.js";

/** The reference exporter, with what a test changes in it. */
export function exporterOf(
  contract: Contract,
  change: (ops: { revoked: () => boolean }) => Partial<DmaBufOps> = () => ({}),
  more: Partial<ExporterSubject> = {},
): ExporterSubject {
  const has = (call: keyof Contract["rows"]): boolean => contract.rows[call] !== undefined;
  const capabilities: ExporterCapability[] = ["mmap", "revoke", "move"];
  if (has("mapDmaBuf")) capabilities.push("map", "pin", "static");
  if (has("getPfn")) capabilities.push("get_pfn");
  return {
    kind: "exporter",
    name: "reference exporter",
    contract,
    capabilities,
    create(fw) {
      const made: { it?: ReturnType<typeof referenceExporter> } = {};
      return {
        export: () => (made.it = referenceExporter(fw, change({ revoked: () => made.it?.revoked ?? false }))).buf,
        revoke: () => made.it?.revoke() as Op<void>,
        *restore() {
          made.it?.restore();
        },
        move: () => made.it?.move() as Op<void>,
      };
    },
    ...more,
  };
}

/** The same exporter where nothing is revoked and nothing moves: then there are no orders, and the rest is tried at once. */
export function still(subject: ExporterSubject): ExporterSubject {
  return {
    ...subject,
    capabilities: subject.capabilities.filter((c) => c !== "revoke" && c !== "move"),
    create(fw, host) {
      const { revoke: _revoke, restore: _restore, move: _move, ...others } = subject.create(fw, host);
      return others;
    },
  };
}

/** To be broken by a test. */
export class Plain extends ReferenceImporter {}

/** The reference importer, likewise. */
export function importerOf(contract: Contract, Importer: typeof Plain = Plain, keepsReference = true): ImporterSubject {
  return {
    kind: "importer",
    name: "reference importer",
    contract,
    capabilities: ["invalidate", "peer2peer"],
    create(fw, host) {
      const importer = new Importer(fw);
      let buf: Parameters<ReferenceImporter["attach"]>[0];
      return {
        *attach(to) {
          buf = to;
          fw.get(to);
          try {
            yield* importer.attach(to, contract.rows.mapAttachment ? host.device : null);
          } catch (error) {
            if (keepsReference) yield* fw.put(to);
            throw error;
          }
        },
        use: () => importer.use(),
        holds: () => importer.runs.length,
        reaches(offset) {
          const run = importer.runs.find((r) => r.offset <= offset && offset < r.offset + r.sizeBytes);
          return run ? run.address + offset - run.offset : null;
        },
        *detach() {
          yield* importer.detach();
          if (keepsReference) yield* fw.put(buf);
        },
      };
    },
  };
}

/** The requirements that a plugin breaks, and what is said of them. */
export function verdict(subject: ExporterSubject | ImporterSubject): { failing: string[]; said: string } {
  const bad = check(subject).filter((c) => c.breaches.length > 0);
  return { failing: bad.map((c) => c.requirement), said: bad.flatMap((c) => c.breaches).join("\n") };
}

/** The requirements alone. */
export const failing = (subject: ExporterSubject | ImporterSubject): string[] => verdict(subject).failing;
