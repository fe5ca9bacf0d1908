/** An assigned function whose exporter has an opinion of its own about who reaches its BARs. */
import type { Device, P2pProvider, P2pVerdict } from "@dma-buf/core";
import { type Machine, MachineDevice, VfioPciDevice } from "@dma-buf/machine";
import type { AcsBits, PciFunction } from "@dma-buf/pci";

/** What it makes of the kernel's answer. */
export type Opinion = (told: P2pVerdict, client: Device) => P2pVerdict;

export class OpinionatedVfioDevice extends VfioPciDevice {
  readonly #opinion: Opinion;

  constructor(machine: Machine, address: string, opinion: Opinion) {
    super(machine, address);
    this.#opinion = opinion;
  }

  override provider(index: number): P2pProvider | null {
    const provider = super.provider(index);
    if (!provider) return null;
    const verdict = (client: Device): P2pVerdict => this.#opinion(provider.verdict(client), client);
    return { ...provider, verdict, distance: verdict };
  }
}

/** It never asks, and maps for whoever comes. */
export const unasked: Opinion = () => ({
  mapType: "through-host-bridge",
  distance: 0,
  reason: "the exporter does not ask for the route",
});

/** Where ports let translated requests go straight, a client that has ATS gets through by its IOVAs. */
export function byAts(machine: Machine): Opinion {
  return (told, client) => {
    const isDirect =
      client instanceof MachineDevice && machine.iommuUnit.atcOf(client.fn) && letsTranslatedPass(machine, client.fn);
    return told.mapType === "not-supported" && isDirect
      ? { mapType: "through-host-bridge", distance: 0, reason: "translated requests go straight" }
      : told;
  };
}

function letsTranslatedPass({ topology }: Machine, fn: PciFunction): boolean {
  const control = topology.parentOf(fn)?.acs;
  return typeof control === "object" && control !== null && (control.control satisfies AcsBits).DirectTrans;
}
