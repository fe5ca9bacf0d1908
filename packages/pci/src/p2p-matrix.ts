/** Who can be whose peer on a host. Functions that the rule cannot tell apart are one class, so 500 are a small table. */
import type { P2pMapType } from "@dma-buf/core";
import type { Unknown } from "./capture/capture.js";
import type { Maybe, PciFunction } from "./function.js";
import type { HostBridge } from "./host-bridge.js";
import { p2pRuling } from "./p2p.js";
import type { Topology } from "./topology.js";

/** Functions with the same port above them and the same ACS of their own: the rule answers alike for all of them. */
export interface PeerClass {
  readonly functions: readonly PciFunction[];
  /** The bridge above; `null` on a root bus. */
  readonly below: PciFunction | null;
  readonly root: HostBridge;
}

export interface P2pMatrix {
  readonly classes: readonly PeerClass[];
  /** `verdicts[p][c]`: a client of class c, a provider of class p; the rule has no direction. `null` within a class of one. */
  readonly verdicts: readonly (readonly (Maybe<P2pMapType> | null)[])[];
  /** The facts that verdicts hang on, each once. */
  readonly unknown: readonly Unknown[];
}

const BRIDGE_CLASS = 0x06;

/** All functions but bridges. */
export function p2pMatrix(topology: Topology): P2pMatrix {
  const classes = classesOf(topology);
  const rule = new Rule(topology);
  const half = classes.map((p, i) => classes.slice(0, i + 1).map((c) => rule.between(p, c)));
  const verdicts = classes.map((_p, p) => classes.map((_c, c) => half[Math.max(p, c)]?.[Math.min(p, c)] ?? null));
  return { classes, verdicts, unknown: [...rule.unknown.values()] };
}

/** The rule for classes. Those that meet only above their root ports differ by nothing but their host bridges. */
class Rule {
  readonly unknown = new Map<string, Unknown>();
  readonly #topology: Topology;
  readonly #across = new Map<HostBridge, Map<HostBridge, Maybe<P2pMapType>>>();

  constructor(topology: Topology) {
    this.#topology = topology;
  }

  between(p: PeerClass, c: PeerClass): Maybe<P2pMapType> | null {
    const provider = p.functions[0] as PciFunction;
    const client = p === c ? p.functions[1] : c.functions[0];
    if (!client) return null;
    if (this.#topology.commonAncestor(provider, client)) return this.#ask(provider, client);
    const [a, b] = [this.#topology.hostBridgeOf(provider), this.#topology.hostBridgeOf(client)];
    let known = this.#across.get(a);
    if (!known) this.#across.set(a, (known = new Map()));
    const verdict = known.get(b) ?? this.#ask(provider, client);
    known.set(b, verdict);
    return verdict;
  }

  #ask(provider: PciFunction, client: PciFunction): Maybe<P2pMapType> {
    const ruling = p2pRuling(this.#topology, provider, client);
    if (ruling.known) return ruling.answer.mapType;
    for (const fact of ruling.unknown) this.unknown.set(fact.what, fact);
    return "unknown";
  }
}

function classesOf(topology: Topology): PeerClass[] {
  const classes = new Map<string, PeerClass & { readonly functions: PciFunction[] }>();
  for (const fn of topology.functions.filter(isDevice)) {
    const below = topology.parentOf(fn);
    const root = topology.hostBridgeOf(fn);
    const key = `${below?.address ?? `${root.domain}:${root.bus}`} ${ownAcs(fn)}`;
    const known = classes.get(key);
    if (known) known.functions.push(fn);
    else classes.set(key, { functions: [fn], below, root });
  }
  return [...classes.values()];
}

function isDevice(fn: PciFunction): boolean {
  if (fn.bridge !== null) return false;
  return fn.classCode === null ? !/\bbridge$/i.test(fn.className) : fn.classCode >>> 16 !== BRIDGE_CLASS;
}

function ownAcs({ acs }: PciFunction): string {
  if (acs === null || acs === "unknown") return String(acs);
  const { ReqRedir, CmpltRedir, EgressCtrl } = acs.control;
  return [ReqRedir, CmpltRedir, EgressCtrl].join();
}
