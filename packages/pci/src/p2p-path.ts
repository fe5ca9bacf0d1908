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
  readonly carries: "bus address" | "CPU address" | "IOVA";
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
 * The requests that the client could send. Below a switch the DMA API hands out the BAR's bus address. Else it is an IOVA
 * where the IOMMU translates for the client, and the CPU's address where nothing does; both where that is not known.
 * @param allowed what Linux may answer; what it refuses is shown as if a driver did not ask
 */
export function peerPaths(
  topology: Topology,
  provider: PciFunction,
  bar: Bar,
  client: PciFunction,
  allowed: readonly P2pMapType[],
): PeerPath[] {
  const pair = { topology, provider, bar, client };
  const bus = topology.toBus(topology.hostBridgeOf(provider), bar.base);
  const translates = topology.translates(client);
  const paths: PeerPath[] = [];
  if (allowed.includes("bus-address")) paths.push(pathOf(pair, "bus address", `the bus address ${hex(bus)}`, bus));
  if (allowed.every((type) => type === "bus-address")) return paths;
  if (translates !== true && !(paths.length > 0 && (bus as number) === (bar.base as number)))
    paths.push(pathOf(pair, "CPU address", `the CPU address ${hex(bar.base)}`, addr<BusAddr>(bar.base)));
  if (translates !== false) paths.push(pathOf(pair, "IOVA", "the IOVA", IOVA_STAND_IN));
  return paths;
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
  const { hops, ended } = continued(pair, way, carries);
  return { carries, label, hops, ...(blindSpot(topology, client) ?? ended) };
}

type Ended = Pick<PeerPath, "arrives" | "because" | "toKnow">;

function unknown(because: string, toKnow: string): Ended {
  return { arrives: "unknown", because, toKnow };
}

/** A port above the client whose part in the way the capture does not show. */
function blindSpot(topology: Topology, client: PciFunction): Ended | null {
  for (const port of topology.pathToRoot(client).filter((fn) => fn.bridge !== null)) {
    if (port.acs === "unknown")
      return unknown(`ACS of ${port.address} is unknown`, "capture as root: sudo lspci -vvv, or dma-buf capture");
    const control = port.acs?.control;
    if (control?.EgressCtrl && !control.ReqRedir)
      return unknown(`${port.address} has EgressCtrl set, and its vector is in no capture`, "read the vector: setpci");
  }
  const { isLost, name } = topology.hostBridgeOf(client);
  return isLost ? unknown(`${name} is not in the capture`, "the whole output of sudo lspci -vvv") : null;
}

/** Where the route goes on above the ports. */
function continued(pair: Pair, way: Route, carries: PeerPath["carries"]): { hops: readonly Hop[]; ended: Ended } {
  const { topology, provider, bar, client } = pair;
  const { hops, end } = way;
  if (end.kind === "function") return { hops, ended: claimedBy(pair, way, end.fn) };
  if (end.kind !== "root-complex")
    return { hops, ended: { arrives: false, because: `${end.at}: ${end.reason}`, toKnow: null } };
  const { busOffsetBytes, name } = topology.hostBridgeOf(client);
  // Nothing translates: the root complex takes the number for one of its own bus.
  if (carries === "CPU address" && busOffsetBytes !== 0)
    return {
      hops,
      ended: {
        arrives: false,
        because: `below ${name} ${hex(bar.base)} is the bus address of another place`,
        toKnow: null,
      },
    };
  const translation = { at: "IOMMU", action: `translates it to ${hex(bar.base)}` };
  const below = routeFromRoot(topology, topology.hostBridgeOf(provider), bar.base);
  const all = [...hops, ...(carries === "IOVA" ? [translation] : []), ...below.hops];
  if (below.end.kind === "function")
    return {
      hops: all,
      ended: unknown(
        `the root complex would have to forward from ${end.port.address} down to ${provider.address}`,
        MEASURE,
      ),
    };
  const reason = "reason" in below.end ? below.end.reason : "it comes back up";
  return { hops: all, ended: { arrives: false, because: reason, toKnow: null } };
}

function claimedBy({ provider, bar, client }: Pair, { hops }: Route, fn: PciFunction): Ended {
  if (fn !== provider)
    return { arrives: false, because: `${fn.address} claims it, not ${provider.address}`, toKnow: null };
  if (hops[0]?.at === client.address)
    return unknown("the device would have to route between its own functions", MEASURE);
  const isOff = !provider.memoryEnabled || !bar.enabled;
  const off = isOff ? `, once a driver turns on memory decode of ${provider.address}: it is off now` : "";
  return { arrives: true, because: `the ports route it sideways${off}`, toKnow: null };
}
