/** The functions of a cell as a tree, with the path that one access took through it. */
import type { AccessEvidence, TopologyNode } from "../evidence.js";
import { html, type Markup } from "./markup.js";
import { pathOf, SYSTEM } from "./path.js";

/** Of one node, and from one to the next, pixels. */
const [WIDTH, HEIGHT, GAP_X, GAP_Y] = [132, 44, 14, 20];
const MARGIN = 4;

interface Place {
  readonly x: number;
  readonly y: number;
}

export function topologyDrawing(topology: readonly TopologyNode[], access: AccessEvidence | null): Markup {
  const nodes = [system(), ...topology.map((node) => ({ ...node, parent: node.parent ?? SYSTEM }))];
  const places = placesOf(nodes);
  const path = access && pathOf(access, topology);
  const right = Math.max(...[...places.values()].map((p) => p.x)) + WIDTH + MARGIN;
  const bottom = Math.max(...[...places.values()].map((p) => p.y)) + HEIGHT + MARGIN;
  const onWay = new Set(path?.nodes);
  const label = path ? `path: ${path.nodes.join(", ")}${path.arrived ? "" : ", and nowhere"}` : "nothing was accessed";
  return html`<svg class="topo" role="img" aria-label="${label}" viewBox="0 0 ${right} ${bottom}" style="max-width:${right}px">
${nodes.map((node) => edge(node, places))}${path && way(path.nodes, path.arrived, places)}${nodes.map((node) => box(node, places, onWay))}</svg>`;
}

type Node = Omit<TopologyNode, "kind"> & { readonly kind: TopologyNode["kind"] | "system" };

function system(): Node {
  return { address: SYSTEM, kind: "system", parent: null, plays: null, acs: [] };
}

/** A leaf has a column of its own; who has children stands above their middle. */
function placesOf(nodes: readonly Node[]): ReadonlyMap<string, Place> {
  const places = new Map<string, Place>();
  let columns = 0;
  const place = (node: Node, depth: number): number => {
    const below = nodes.filter((n) => n.parent === node.address).map((n) => place(n, depth + 1));
    const column = below.length > 0 ? ((below[0] as number) + (below.at(-1) as number)) / 2 : columns++;
    places.set(node.address, { x: MARGIN + column * (WIDTH + GAP_X), y: MARGIN + depth * (HEIGHT + GAP_Y) });
    return column;
  };
  place(nodes[0] as Node, 0);
  return places;
}

function edge({ address, parent }: Node, places: ReadonlyMap<string, Place>): Markup | null {
  const [from, to] = [places.get(parent ?? ""), places.get(address)];
  if (!from || !to) return null;
  const middle = to.y - GAP_Y / 2;
  return html`<path class="edge" d="M${from.x + WIDTH / 2} ${from.y + HEIGHT}V${middle}H${to.x + WIDTH / 2}V${to.y}"/>`;
}

/** Drawn over the edges, a little beside the middle, so that both can be seen. */
function way(nodes: readonly string[], arrived: boolean, places: ReadonlyMap<string, Place>): Markup {
  const points = nodes
    .flatMap((node) => places.get(node) ?? [])
    .map(({ x, y }) => ({ x: x + WIDTH / 2, y: y + HEIGHT / 2 }));
  const [start, ...rest] = points as [Place, ...Place[]];
  const steps = rest.map((to, i) => {
    const from = points[i] as Place;
    const middle = Math.max(from.y, to.y) - HEIGHT / 2 - GAP_Y / 2;
    return `V${middle}H${to.x}V${to.y}`;
  });
  const end = points.at(-1) as Place;
  const mark = arrived
    ? `M${end.x - 5} ${end.y - HEIGHT / 2 - 8}l5 8l5 -8z`
    : `M${end.x - 6} ${end.y - 6}l12 12m0 -12l-12 12`;
  const tip =
    arrived && rest.length > 0 && (points.at(-2) as Place).y > end.y
      ? `M${end.x - 5} ${end.y + HEIGHT / 2 + 8}l5 -8l5 8z`
      : mark;
  return html`<path class="way${arrived ? "" : " lost"}" d="M${start.x} ${start.y}${steps.join("")}"/><path class="${arrived ? "waytip" : "waylost"}" d="${tip}"/>`;
}

function box(
  { address, kind, plays, acs }: Node,
  places: ReadonlyMap<string, Place>,
  onWay: ReadonlySet<string>,
): Markup {
  const { x, y } = places.get(address) as Place;
  const classes = ["node", onWay.has(address) && "on", plays && "plays"].filter(Boolean).join(" ");
  const bits = acs.length > 0 ? `ACS ${acs.join(" ")}` : "";
  const lines = [
    address.replace(/^(the )?host bridge (of )?/, ""),
    kind === "system" ? "" : (plays ?? kind.replace("-", " ")),
    short(bits),
  ];
  const shown = lines.filter((line) => line !== "");
  const top = y + HEIGHT / 2 + 4 - (shown.length - 1) * 6.5;
  const texts = shown.map(
    (line, i) => html`<text class="${i > 0 && "sub"}" x="${x + WIDTH / 2}" y="${top + i * 13}">${line}</text>`,
  );
  return html`<g class="${classes}"><title>${[address, kind, plays, bits].filter(Boolean).join(", ")}</title><rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="3"/>${texts}</g>`;
}

/** Bits as far as a node is wide. */
function short(bits: string): string {
  return bits.length > 21 ? `${bits.slice(0, 20)}…` : bits;
}
