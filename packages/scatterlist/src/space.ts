/** In which space an address is meant, and when two runs say the same. */
import type { Attributes, Run, Space } from "@dma-buf/core";

/** Is it meant in the same space? A kind without a space of its own is one space. */
export function isSameSpace(a: Run | Space, b: Run | Space): boolean {
  return a.kind === b.kind && identity(a) === identity(b);
}

/** Does `b` say of the bytes that both have what `a` says? For neighbours: does `b` go on where `a` ends? */
export function agree(a: Run, b: Run): boolean {
  return isSameSpace(a, b) && b.address - a.address === b.offset - a.offset && isReachedAlike(a, b);
}

/** Is `b` the bytes behind `a`, with nothing between them, and would one entry do for both? */
export function goesOn(a: Run, b: Run): boolean {
  return a.offset + a.sizeBytes === b.offset && agree(a, b);
}

/** By value: an exporter may well make new attributes for each run. */
function isReachedAlike(a: Run, b: Run): boolean {
  const [x, y] = [attributesOf(a), attributesOf(b)];
  return x?.cache === y?.cache && x?.snoop === y?.snoop;
}

function attributesOf(run: Run): Attributes | null {
  return run.kind === "dma" ? null : run.attributes;
}

function identity(of: Run | Space): object | null {
  if (of.kind === "pci-bus") return of.bridge;
  if (of.kind === "iova") return of.domain;
  return of.kind === "device-private" ? of.fabric : null;
}
