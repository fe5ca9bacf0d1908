/** In which space an address is meant. */
import type { Run, Space } from "@dma-buf/core";

/** Is it meant in the same space? A kind without a space of its own is one space. */
export function isSameSpace(a: Run | Space, b: Run | Space): boolean {
  return a.kind === b.kind && identity(a) === identity(b);
}

/** Does `b` say of the bytes that both have what `a` says? For neighbours: does `b` go on where `a` ends? */
export function agree(a: Run, b: Run): boolean {
  return isSameSpace(a, b) && b.address - a.address === b.offset - a.offset;
}

function identity(of: Run | Space): object | null {
  if (of.kind === "pci-bus") return of.bridge;
  if (of.kind === "iova") return of.domain;
  return of.kind === "device-private" ? of.fabric : null;
}
