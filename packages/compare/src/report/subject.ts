/** What a line of the trace is about: which lock, which fence, whose code. */
import type { TraceEvent } from "@dma-buf/core";

export type Subject =
  | { readonly kind: "lock"; readonly name: string; readonly does: "takes" | "gives" }
  | { readonly kind: "fence"; readonly name: string; readonly does: "adds" | "signals" }
  /** Code of an exporter or importer is entered. */
  | { readonly kind: "plugin"; readonly name: string; readonly does: "enters" };

/** `null`: it is about nothing that has a line of its own in a diagram. */
export function subjectOf({ kind, text }: TraceEvent): Subject | null {
  const at = text.indexOf(": ");
  switch (kind) {
    case "lock":
      return { kind: "lock", name: before(text, " locked"), does: "takes" };
    case "unlock":
      return { kind: "lock", name: before(text, " unlocked"), does: "gives" };
    case "fence":
      return text.endsWith(" signals")
        ? { kind: "fence", name: fenceOf(text), does: "signals" }
        : { kind: "fence", name: fenceOf(text.slice(at + 2)), does: "adds" };
    case "callback":
      return at === -1 ? null : { kind: "plugin", name: text.slice(0, at), does: "enters" };
    case "call":
      return calleeOf(text);
    default:
      return null;
  }
}

/** `dma_buf_map_attachment(vfio-pci 0000:03:00.0, bidirectional) by nic` enters the exporter that it names. */
function calleeOf(text: string): Subject | null {
  const name = /^\w+\(([^,)]+)[^)]*\) by /.exec(text)?.[1];
  return name ? { kind: "plugin", name, does: "enters" } : null;
}

/** Context and seqno. What follows says its state, which changes. */
function fenceOf(described: string): string {
  return /^\d+:\d+/.exec(described)?.[0] ?? described;
}

function before(text: string, end: string): string {
  const at = text.lastIndexOf(end);
  return at === -1 ? text : text.slice(0, at);
}
