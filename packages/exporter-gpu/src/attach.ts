/** Attaching: can VRAM be reached as a peer's memory? Nobody is refused for it who can be served out of RAM. */
import type { DmaBufAttachment, DmaBufOps } from "@dma-buf/core";
import { p2pDistance, whyNotByPfn } from "@dma-buf/scatterlist";
import { type OwnedBo, refuse } from "./buffer-object.js";
import { type Gpu, keepAwake, letSleep, overFabric, present } from "./gpu.js";

/** Why an importer's device does not reach VRAM by the addresses that a contract has; `null`: it does. */
export type WhyNoPeer = (gpu: Gpu, at: DmaBufAttachment) => string | null;

/** By addresses that the exporter makes: the fabric's, or what the route through PCI asks for. */
export const whyNotByAddress: WhyNoPeer = (gpu, at) => {
  const { provider, window } = gpu.host;
  if (overFabric(gpu, at)) return null;
  if (!provider || !window) return "no BAR shows VRAM";
  const verdict = at.device && p2pDistance(provider, at.device);
  return verdict && verdict.distance < 0 ? verdict.reason : null;
};

/** By page frames. Without a device nothing can be asked. */
export const whyNotByFrame: WhyNoPeer = ({ host: { provider, window } }, { device }) => {
  if (!window) return "no BAR shows VRAM: it has no page frames";
  return device && whyNotByPfn(provider, device);
};

export interface AttachRules {
  readonly whyNoPeer: WhyNoPeer;
  /** Is who can be served neither out of VRAM nor out of RAM refused here? Else when it maps or asks. */
  readonly refusesHere: boolean;
}

export function attachable(gpu: Gpu, bo: OwnedBo, rules: AttachRules): Pick<DmaBufOps, "attach" | "detach"> {
  return {
    *attach(at) {
      present(gpu, bo, "amdgpu_dma_buf_attach", "attach");
      if (gpu.options.checksImporter === false) return;
      const why = rules.whyNoPeer(gpu, at);
      if (why !== null) noPeer(gpu, at, why);
      if (rules.refusesHere) needPlace(gpu, bo, at, why);
      if (at.peer2peer && !(yield* keepAwake(gpu, at))) noPeer(gpu, at, "the GPU is asleep");
    },
    detach: (at) => letSleep(gpu, at),
  };
}

function noPeer({ fw, host }: Gpu, at: DmaBufAttachment, why: string): void {
  if (at.peer2peer) fw.trace.emit("event", () => `${host.name}: ${at.importerName} is no peer: ${why}`);
  at.peer2peer = false;
}

/** @throws DmaBufError `EOPNOTSUPP` */
function needPlace({ host }: Gpu, bo: OwnedBo, at: DmaBufAttachment, why: string | null): void {
  if (at.peer2peer || bo.allowed.includes("gtt")) return;
  const reason = why ?? "it takes no peer's addresses";
  refuse(
    "EOPNOTSUPP",
    "amdgpu_dma_buf_attach",
    "attach",
    `${at.importerName} cannot reach the VRAM of ${host.name}, and the buffer may not move to RAM: ${reason}`,
  );
}
