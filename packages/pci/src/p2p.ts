/**
 * Linux's rule: may these two functions do peer-to-peer DMA, by which way, and what decided. Facts of Linux 7.3,
 * drivers/pci/p2pdma.c. A rule of software, not of hardware: it can be wrong in either direction.
 */
import type { P2pMapType, P2pVerdict } from "@dma-buf/core";
import type { Unknown } from "./capture/capture.js";
import type { AcsBits, PciFunction } from "./function.js";
import { CPU_RULE_SINCE, type HostBridge, LIST_SINCE, type Listing, P2PDMA_SINCE } from "./host-bridge.js";
import { isBefore } from "./kernel-version.js";
import { type Between, between } from "./p2p-between.js";
import { type Assumption, assumptions, cpuIsUnknown, describe, mayHaveAcs, openFacts, WORST } from "./p2p-unknown.js";
import type { Topology } from "./topology.js";

/** What decided, and what would have to change. */
export interface P2pAnswer extends P2pVerdict {
  /** Functions whose ACS control sends peer requests up, with the bits, nearest to the provider first. */
  readonly redirects: readonly Redirect[];
  /** What would have to change for the next better answer; `null` for `bus-address`. */
  readonly remedy: string | null;
}

export interface Redirect {
  readonly at: string;
  readonly bits: readonly (keyof AcsBits)[];
}

/** The answer as far as the capture gives one. */
export type P2pRuling =
  | { readonly known: true; readonly answer: P2pAnswer }
  /** It hangs on facts that the capture does not hold: every answer that is possible, worst first. */
  | { readonly known: false; readonly answers: readonly P2pAnswer[]; readonly unknown: readonly Unknown[] };

/** The bits of the control register that the kernel asks for. It ignores DirectTrans, and capabilities. */
const REDIRECT: readonly (keyof AcsBits)[] = ["ReqRedir", "CmpltRedir", "EgressCtrl"];
/** AMD's Zen: the first family whose root complex the kernel trusts to forward. */
const ZEN_FAMILY = 0x17;

/**
 * The kernel's answer for `client` doing DMA to a BAR of `provider`. It counts ACS redirect on every function of
 * both paths up to and with the common ancestor; without any, requests stay below it. What is unknown counts as no.
 */
export function p2pVerdict(topology: Topology, provider: PciFunction, client: PciFunction): P2pAnswer {
  return evaluate(topology, between(topology, provider, client), WORST);
}

/** The same, with every answer that the unknown facts allow. */
export function p2pRuling(topology: Topology, provider: PciFunction, client: PciFunction): P2pRuling {
  const pair = between(topology, provider, client);
  const open = openFacts(topology, pair);
  const answers = new Map<P2pMapType, P2pAnswer>();
  for (const assumption of assumptions(open)) {
    const answer = evaluate(topology, pair, assumption);
    if (!answers.has(answer.mapType)) answers.set(answer.mapType, answer);
  }
  const [worst, ...better] = [...answers.values()].toSorted((a, b) => RANK[a.mapType] - RANK[b.mapType]);
  if (better.length === 0) return { known: true, answer: worst as P2pAnswer };
  return { known: false, answers: [worst as P2pAnswer, ...better], unknown: describe(open) };
}

const RANK: Readonly<Record<P2pMapType, number>> = { "not-supported": 0, "through-host-bridge": 1, "bus-address": 2 };

function evaluate(topology: Topology, pair: Between, assume: Assumption): P2pAnswer {
  if (isBefore(topology.kernel, P2PDMA_SINCE)) return tooOld(topology);
  const { provider, client, common, distance, counted } = pair;
  const redirects = counted.flatMap((fn) => redirectOf(fn, assume.acsRedirects));
  if (common && redirects.length === 0)
    return {
      mapType: "bus-address",
      distance,
      reason: `${below(common, provider, client)}, and no ACS redirect on the way`,
      redirects,
      remedy: null,
    };
  if (!common && assume.joined)
    return {
      mapType: "bus-address",
      distance,
      reason: "both may be below one switch that the capture does not show, without ACS redirect",
      redirects,
      remedy: null,
    };
  const why = common
    ? `ACS ${redirects[0]?.bits[0]} at ${redirects[0]?.at} sends peer requests up`
    : `${provider.address} and ${client.address} meet only above their root ports`;
  return viaHostBridge(topology, pair, assume, why, redirects);
}

function below(common: PciFunction, provider: PciFunction, client: PciFunction): string {
  if (provider === client) return "they are one function";
  return common === provider || common === client ? `one is above the other` : `both below ${common.address}`;
}

function redirectOf(fn: PciFunction, assumed: boolean): Redirect[] {
  if (fn.acs === null) return [];
  if (fn.acs === "unknown") return assumed && mayHaveAcs(fn) ? [{ at: fn.address, bits: ["ReqRedir"] }] : [];
  const { control } = fn.acs;
  const bits = REDIRECT.filter((bit) => control[bit]);
  return bits.length > 0 ? [{ at: fn.address, bits }] : [];
}

function viaHostBridge(
  topology: Topology,
  { distance, roots }: Between,
  assume: Assumption,
  why: string,
  redirects: readonly Redirect[],
): P2pAnswer {
  const remedy = redirects.length > 0 ? clearAcs(redirects) : "put both devices below one switch";
  if (
    !isBefore(topology.kernel, CPU_RULE_SINCE) &&
    (cpuForwards(topology) || (assume.cpuForwards && cpuIsUnknown(topology)))
  )
    return {
      mapType: "through-host-bridge",
      distance,
      reason: `${why}; the kernel lets every AMD CPU of family 0x17 and later forward`,
      redirects,
      remedy,
    };
  const stopped = roots.find((root) => !allows(root.listing, roots.length === 1, assume.listed));
  if (!stopped)
    return {
      mapType: "through-host-bridge",
      distance,
      reason: `${why}; ${roots.map((r) => r.name).join(" and ")} ${roots.length === 1 ? "is" : "are"} on the kernel's list`,
      redirects,
      remedy,
    };
  return {
    mapType: "not-supported",
    distance: -1,
    reason: `${why}, and ${refusal(topology, stopped, roots.length === 1)}`,
    redirects,
    remedy: `${remedy}, or use a host whose root complex the kernel lists (AMD family 0x17 and later, Intel Xeon Scalable)`,
  };
}

function clearAcs(redirects: readonly Redirect[]): string {
  const at = redirects.map((r) => r.at).join(";");
  return `clear ${redirects.map((r) => `${r.bits.join(" ")} at ${r.at}`).join(", ")}: boot with pci=disable_acs_redir=${at}, which gives up the isolation between the devices below`;
}

function cpuForwards({ cpu }: Topology): boolean {
  return cpu.vendor === "AuthenticAMD" && cpu.family !== "unknown" && cpu.family >= ZEN_FAMILY;
}

function allows(listing: Listing, oneBridge: boolean, assumed: boolean): boolean {
  if (listing === "unknown") return assumed;
  return listing === "listed" || (listing === "same-bridge-only" && oneBridge);
}

function refusal(topology: Topology, root: HostBridge, oneBridge: boolean): string {
  if (root.listing === "unknown") return `whether ${root.name} is on the kernel's list is unknown`;
  if (root.listing === "same-bridge-only" && !oneBridge)
    return `${root.name} is on the kernel's list for peers below itself alone`;
  if (isBefore(topology.kernel, LIST_SINCE)) return `Linux ${topology.kernel.join(".")} trusts no host bridge`;
  return `${root.name} is not on the kernel's list`;
}

function tooOld({ kernel }: Topology): P2pAnswer {
  return {
    mapType: "not-supported",
    distance: -1,
    reason: `Linux ${kernel.join(".")} has no peer-to-peer DMA: it came with ${P2PDMA_SINCE.join(".")}`,
    redirects: [],
    remedy: "run a later kernel, or ask for its answer with --kernel",
  };
}
