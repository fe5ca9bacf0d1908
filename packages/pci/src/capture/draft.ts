/** A function as a reader finds it: it may have no Express capability, and so no port type of its own. */
import { type PciFunction, partsOf, type PortType } from "../function.js";

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

/** `0000:01`: the bus of `address`, or another one of its domain. */
export function busKey(address: string, bus: number = partsOf(address).bus): string {
  return `${address.slice(0, address.indexOf(":"))}:${bus.toString(16).padStart(2, "0")}`;
}

/** The root bus above `address`. The bridges were checked before: they form no loop. */
export function rootOf(address: string, functions: readonly PciFunction[]): string {
  const parents = new Map(
    functions.flatMap((f) => (f.bridge?.secondary ? [[busKey(f.address, f.bridge.secondary), busKey(f.address)]] : [])),
  );
  let bus = busKey(address);
  for (let up = parents.get(bus); up !== undefined; up = parents.get(bus)) bus = up;
  return bus;
}
