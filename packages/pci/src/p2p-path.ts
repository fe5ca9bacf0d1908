/**
 * What the hardware does with a peer request, whatever Linux says of it: two questions with two answers. Below a switch
 * the registers decide; whether a root complex forwards between its ports stands in no register.
 */
import { addr, type BusAddr, hex, type P2pMapType } from "@dma-buf/core";
import type { Bar, Maybe, PciFunction } from "./function.js";
import { type Hop, type Route, route, routeFromRoot } from "./route.js";
import type { Topology } from "./topology.js";

/** One request of the client, from its port to where it ends. */
export interface PeerPath {
  /** What the client puts on the wire. */
  readonly carries: "bus address" | "IOVA";
  /** In words: `the bus address 0x6050000000`. */
  readonly label: string;
  readonly hops: readonly Hop[];
  /** Does it reach the provider's BAR? */
  readonly arrives: Maybe<boolean>;
  /** What decided, or why it is unknown. */
  readonly because: string;
  /** What to capture or measure where it is unknown. */
  readonly toKnow: string | null;
}

/** No window reaches it, so ports send it upstream, as they do with every IOVA that the DMA API hands out. */
const IOVA_STAND_IN = addr<BusAddr>(2 ** 52 - 4096);
const MEASURE =
  "no register says. Copy from one device to the other with the kernel's check out of the way, and compare the bytes";

/** The BAR a peer would want: the largest in memory space; `null` where there is none. */
export function peerBar(provider: PciFunction): Bar | null {
  const bars = provider.bars.filter((b) => b.space === "memory" && b.index <= 5 && b.base > 0);
  return bars.reduce<Bar | null>((best, b) => (best && best.sizeBytes >= b.sizeBytes ? best : b), null);
}

/**
 * The requests that the client could send: the BAR's bus address, which is what it uses below a switch or without an
 * IOMMU, and an IOVA, which is what it gets where one translates. Both where it is not known which.
 * @param allowed what Linux may answer
 */
export function peerPaths(
  topology: Topology,
  provider: PciFunction,
  bar: Bar,
  client: PciFunction,
  allowed: readonly P2pMapType[],
): PeerPath[] {
  const isBelow = allowed.every((type) => type === "bus-address");
  const isTranslated = allowed.every((type) => type === "through-host-bridge") && topology.iommu === "on";
  const bus = topology.toBus(topology.hostBridgeOf(provider), bar.base);
  const pair = { topology, provider, bar, client };
  const direct = isTranslated ? [] : [pathOf(pair, "bus address", `the bus address ${hex(bus)}`, bus)];
  const translated = isBelow || topology.iommu === "off" ? [] : [pathOf(pair, "IOVA", "the IOVA", IOVA_STAND_IN)];
  return [...direct, ...translated];
}

interface Pair {
  readonly topology: Topology;
  readonly provider: PciFunction;
  readonly bar: Bar;
  readonly client: PciFunction;
}

/** With Bus Master Enable set: a driver sets it when it begins, and a capture often shows devices at rest. */
function pathOf(pair: Pair, carries: PeerPath["carries"], label: string, address: BusAddr): PeerPath {
  const { topology, client } = pair;
  const way = route(topology, client, address, { label, busMaster: true });
  const blind = topology.pathToRoot(client).find((port) => port.acs === "unknown" && port.bridge !== null);
  const up = continued(pair, way, carries);
  const base = { carries, label, hops: up.hops };
  if (blind)
    return {
      ...base,
      arrives: "unknown",
      because: `ACS of ${blind.address} is unknown`,
      toKnow: "capture as root: sudo lspci -vvv, or dma-buf capture",
    };
  return { ...base, ...up.ended };
}

type Ended = Pick<PeerPath, "arrives" | "because" | "toKnow">;

/** Where the route goes on above the ports. */
function continued(
  { topology, provider, bar }: Pair,
  { hops, end }: Route,
  carries: PeerPath["carries"],
): { hops: readonly Hop[]; ended: Ended } {
  if (end.kind === "function") return { hops, ended: claimedBy(provider, end.fn) };
  if (end.kind !== "root-complex")
    return { hops, ended: { arrives: false, because: `${end.at}: ${end.reason}`, toKnow: null } };
  const translation = { at: "IOMMU", action: `translates it to ${hex(bar.base)}` };
  const root = topology.hostBridgeOf(provider);
  const below = routeFromRoot(topology, root, bar.base);
  const all = [...hops, ...(carries === "IOVA" ? [translation] : []), ...below.hops];
  if (below.end.kind !== "function")
    return { hops: all, ended: { arrives: false, because: `${below.end.kind}: nobody claims it`, toKnow: null } };
  return {
    hops: all,
    ended: {
      arrives: "unknown",
      because: `the root complex would have to forward from ${end.port.address} down to ${provider.address}`,
      toKnow: MEASURE,
    },
  };
}

function claimedBy(provider: PciFunction, fn: PciFunction): Ended {
  if (fn === provider) return { arrives: true, because: "the ports route it sideways", toKnow: null };
  return { arrives: false, because: `${fn.address} claims it, not ${provider.address}`, toKnow: null };
}
