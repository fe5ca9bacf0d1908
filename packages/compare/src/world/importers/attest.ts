/** A guest that looks before it trusts: is all of the device's memory, as the device reports it, in its slots? */
import { hex } from "@dma-buf/core";
import type { PhysRange } from "../content.js";
import type { Stage } from "../stage.js";

/** Refuses, as the guest, where the report names memory that no slot has. */
export function attest({ judge, trustedIo }: Pick<Stage, "judge" | "trustedIo">, slots: readonly PhysRange[]): void {
  for (const { base, sizeBytes } of trustedIo.report) {
    const hole = firstHole(base, base + sizeBytes, slots);
    if (hole === null) continue;
    judge.guestRefused(
      `the device reports memory at ${hex(hole)}, and the host gave no slot for it: the guest does not accept the device`,
    );
    return;
  }
  judge.good({ kind: "device", id: "report", text: "the slots are what the device reports" });
}

/** The first byte of `[base, end)` that none of the ranges has; `null`: each has one. */
function firstHole(base: number, end: number, ranges: readonly PhysRange[]): number | null {
  let at = base;
  for (;;) {
    if (at >= end) return null;
    const range = ranges.find((r) => r.base <= at && at < r.base + r.sizeBytes);
    if (!range) return at;
    at = range.base + range.sizeBytes;
  }
}
