/** Two functions as the kernel's rule sees them: their paths up, and what lies on them. */
import type { PciFunction } from "./function.js";
import type { HostBridge } from "./host-bridge.js";
import type { Topology } from "./topology.js";

/** Two functions and what lies between them. */
export interface Between {
  readonly provider: PciFunction;
  readonly client: PciFunction;
  /** The lowest function above both, or one of them. */
  readonly common: PciFunction | null;
  readonly distance: number;
  /** The functions whose ACS counts: both paths, up to and with the common ancestor. None where there is no such. */
  readonly counted: readonly PciFunction[];
  /** One host bridge, or the provider's and the client's. */
  readonly roots: readonly HostBridge[];
}

export function between(topology: Topology, provider: PciFunction, client: PciFunction): Between {
  const a = topology.pathToRoot(provider);
  const b = topology.pathToRoot(client);
  const common = topology.commonAncestor(provider, client);
  const roots = [...new Set([topology.hostBridgeOf(provider), topology.hostBridgeOf(client)])];
  const pair = { provider, client, common, roots };
  if (!common) return { ...pair, distance: a.length + b.length, counted: [] };
  const up = a.slice(0, a.indexOf(common) + 1);
  const down = b.slice(0, b.indexOf(common));
  return { ...pair, distance: up.length - 1 + down.length, counted: [...up, ...down] };
}
