/** A function as a reader finds it: it may have no Express capability, and so no port type of its own. */
import { busKey } from "../buses.js";
import type { PciFunction, PortType } from "../function.js";

export interface Draft extends Omit<PciFunction, "portType"> {
  /** `null`: it has no Express capability. */
  readonly portType: PortType | null;
}

/** Gives conventional functions their place: bridges bridge, and the others are inside the root complex or below one. */
export function settle(drafts: readonly Draft[]): PciFunction[] {
  const below = new Set(drafts.flatMap((d) => (d.bridge ? [busKey(d.address, d.bridge.secondary)] : [])));
  return drafts.map((draft) => ({ ...draft, portType: draft.portType ?? conventional(draft, below) }));
}

function conventional(draft: Draft, below: ReadonlySet<string>): PortType {
  if (draft.bridge) return "pci-bridge";
  return below.has(busKey(draft.address)) ? "endpoint" : "integrated";
}
