/** Linux's rule: may these two functions do peer-to-peer DMA, by which way, and what decided. Linux: p2pdma.c. */
import type { P2pVerdict } from "@dma-buf/core";
import type { AcsBits, PciFunction } from "./function.js";
import type { HostBridge, Topology } from "./topology.js";

const REDIRECT: readonly (keyof AcsBits)[] = ["ReqRedir", "CmpltRedir", "EgressCtrl"];
/** AMD's Zen: the first family whose root complex the kernel trusts to forward. */
const ZEN_FAMILY = 0x17;

/**
 * The kernel's answer for `client` doing DMA to a BAR of `provider`. It counts ACS redirect on every function of
 * both paths up to and with the common ancestor; without any, requests stay below it. What is unknown counts as no.
 */
export function p2pVerdict(topology: Topology, provider: PciFunction, client: PciFunction): P2pVerdict {
  const a = topology.pathToRoot(provider);
  const b = topology.pathToRoot(client);
  const common = topology.commonAncestor(provider, client);
  if (!common)
    return viaHostBridge(
      topology,
      provider,
      client,
      a.length + b.length,
      `${provider.address} and ${client.address} meet only above their root ports`,
    );
  const up = a.slice(0, a.indexOf(common) + 1);
  const down = b.slice(0, b.indexOf(common));
  const distance = up.length - 1 + down.length;
  const redirecting = [...up, ...down].map(redirectOf).find((r) => r !== null);
  if (!redirecting)
    return { mapType: "bus-address", distance, reason: `both below ${common.address}, and no ACS redirect on the way` };
  return viaHostBridge(topology, provider, client, distance, redirecting);
}

function redirectOf(fn: PciFunction): string | null {
  if (fn.acs === "unknown") return `ACS of ${fn.address} is unknown (capture as root)`;
  const bit = REDIRECT.find((name) => fn.acs !== null && fn.acs !== "unknown" && fn.acs.control[name]);
  return bit ? `ACS ${bit} at ${fn.address} sends peer requests up` : null;
}

function viaHostBridge(
  topology: Topology,
  provider: PciFunction,
  client: PciFunction,
  distance: number,
  why: string,
): P2pVerdict {
  const { cpu } = topology;
  if (cpu?.vendor === "AuthenticAMD" && cpu.family >= ZEN_FAMILY)
    return {
      mapType: "through-host-bridge",
      distance,
      reason: `${why}; the kernel lets every AMD CPU of family 0x17 and later forward`,
    };
  const bridges = [...new Set([topology.hostBridgeOf(provider), topology.hostBridgeOf(client)])];
  const stopped = bridges.find((h) => h.allowlisted !== true);
  if (!stopped)
    return { mapType: "through-host-bridge", distance, reason: `${why}; the host bridge is on the kernel's list` };
  return { mapType: "not-supported", distance: -1, reason: `${why}, and ${describe(stopped)}` };
}

function describe(bridge: HostBridge): string {
  if (bridge.allowlisted === "unknown")
    return `whether the host bridge is on the kernel's list is unknown (capture with lspci -nn)`;
  return `the host bridge ${bridge.name} is not on the kernel's list`;
}
