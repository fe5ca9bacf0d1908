/** What an exporter may offer: what is declared works, and what works is declared. */
import type { DmaBuf, Op } from "@dma-buf/core";
import { accepted } from "../accepted.js";
import { CALLBACK_OF } from "../subject.js";
import { tryOut } from "../try-out.js";
import { can, type ExporterWorld } from "../world.js";

export function* offers(world: ExporterWorld, buf: DmaBuf): Op<void> {
  const { fw } = world;
  for (const capability of ["map", "get_pfn", "pin", "cpu-access", "mmap", "vmap"] as const) {
    const call = CALLBACK_OF[capability];
    if (!call || !(call in fw.contract.rows)) continue;
    if (!buf.ops[call] && !can(world, capability)) continue;
    const before = fw.calls[call] ?? 0;
    const known = fw.findings.length;
    const ok = yield* accepted(tryOut(world, buf, capability));
    // What is not declared may refuse: that the core warns of the refusal is not held against it.
    if (!ok && !can(world, capability)) fw.forgetWarnings(known);
    const worked = ok && (fw.calls[call] ?? 0) > before;
    if (worked !== can(world, capability))
      fw.breach(call, worked ? "works, undeclared: declare it" : "is declared and does not work");
  }
}
