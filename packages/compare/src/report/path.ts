/** The way that bytes took through the tree of functions, as one line from node to node. */
import type { AccessEvidence, TopologyNode } from "../evidence.js";

/** Where CPUs and memory are, in the drawing: above all host bridges. */
export const SYSTEM = "memory and CPUs";

export interface AccessPath {
  /** Neighbours in the tree, from the sender to where it ended. */
  readonly nodes: readonly string[];
  readonly arrived: boolean;
}

export function pathOf({ by, hops, target }: AccessEvidence, topology: readonly TopologyNode[]): AccessPath {
  const parents = new Map(topology.map((node) => [node.address, node.parent ?? SYSTEM]));
  const start = parents.has(by) ? by : SYSTEM;
  const passed = hops.map((hop) => hop.at).filter((at) => parents.has(at));
  // A port's words say which way it sends. What the last one sends up gets to the root complex.
  const isUp = hops.at(-1)?.action.includes("upstream") ?? false;
  const turns = [...passed, ...(isUp ? rootOf(start, parents) : []), ...(target === "ram" ? [SYSTEM] : [])];
  const nodes = turns.reduce<string[]>((way, to) => [...way, ...between(way.at(-1) as string, to, parents)], [start]);
  return { nodes, arrived: target !== "nothing" };
}

/** The host bridge above it. */
function rootOf(address: string, parents: ReadonlyMap<string, string>): readonly string[] {
  return upwards(address, parents).slice(-2, -1);
}

/** From one node to another by the tree, the first left out. */
function between(from: string, to: string, parents: ReadonlyMap<string, string>): readonly string[] {
  const up = upwards(from, parents);
  const down = upwards(to, parents);
  const common = up.find((node) => down.includes(node)) ?? SYSTEM;
  return [...up.slice(1, up.indexOf(common) + 1), ...down.slice(0, down.indexOf(common)).toReversed()];
}

/** The node, its parent, and so on up to the system. */
function upwards(address: string, parents: ReadonlyMap<string, string>): readonly string[] {
  const way = [address];
  for (let at = parents.get(address); at !== undefined; at = parents.get(at)) way.push(at);
  if (way.at(-1) !== SYSTEM) way.push(SYSTEM);
  return way;
}
