/** One importer of each class: the ways in which a driver gets at a buffer and reacts when it goes. All keep the rules. */
import type { Contract } from "@dma-buf/core";
import type { ClassImporter } from "./class-importer.js";
import type { ClassImporterOptions, ImporterClass } from "./options.js";
import { Faulting } from "./faulting.js";
import { Fenced } from "./fenced.js";
import { Pinned, PinnedRevocable } from "./pinned.js";
import { Static } from "./static.js";
import { Zap } from "./zap.js";

const CLASSES = {
  zap: Zap,
  fenced: Fenced,
  faulting: Faulting,
  pinned: Pinned,
  "pinned-revocable": PinnedRevocable,
  static: Static,
} as const;

/**
 * Makes an importer of a class.
 * @example
 * const arrived = [];
 * const zap = classImporter("zap", { framework, arrived: (access) => arrived.push(access.run.offset) });
 * yield* zap.attach(buf, host.device);
 * yield* zap.use();
 * yield* zap.close();
 * arrived; // [0]
 */
export function classImporter(name: ImporterClass, options: ClassImporterOptions): ClassImporter {
  return new CLASSES[name](options);
}

/**
 * The classes that can be right under a contract: a fence protects only where a revoke waits for fences, and pins are
 * only where there is a pin. One without a callback is refused by the core where the callback is mandatory.
 * @example
 * classesOf(vma); // ["zap", "faulting"]
 */
export function classesOf({ rows, policy }: Contract): ImporterClass[] {
  const classes: ImporterClass[] = ["zap"];
  if (policy.drain.includes("fences")) classes.push("fenced");
  classes.push("faulting");
  if (!rows.pinAttachment) return classes;
  if (policy.invalidate === "optional") classes.push("pinned");
  return [...classes, "pinned-revocable", "static"];
}
