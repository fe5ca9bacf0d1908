/** Somebody's package in place of ours: which part it plays, and in which cells. */
import type { PluginModule } from "@dma-buf/core";
import type { Column, Players } from "./column.js";
import type { Scenario } from "./scenario/scenario.js";
import { exporterKinds, importerKinds } from "./world/kinds.js";

/** The parts there are, by the names that plugins give themselves. */
export const PARTS = {
  exporter: { "vfio-pci": "vfio", gpu: "gpu", amdgpu: "gpu", udmabuf: "udmabuf" },
  importer: { rdma: "rdma", kvm: "kvm", iommufd: "iommufd", gpu: "gpu" },
} as const satisfies {
  exporter: Readonly<Record<string, keyof Players["exporters"]>>;
  importer: Readonly<Record<string, keyof Players["importers"]>>;
};

/** A package that plays one of our parts. */
export interface Guest {
  readonly plugin: PluginModule;
  /** Of our package whose part it plays: `vfio`. */
  readonly part: string;
}

/** Does it play in this cell? Where somebody breaks a rule on purpose on its side, it does not: that is ours to play. */
export function playsIn({ plugin, part }: Guest, scenario: Scenario, contract: string): boolean {
  if (!plugin.contracts.includes(contract) || scenario.fault?.party === plugin.kind) return false;
  const ours = `@dma-buf/${plugin.kind}-${part}`;
  if (plugin.kind === "exporter") return exporterKinds[scenario.exporter.kind]?.package === ours;
  return scenario.importers.some((importer) => importerKinds[importer.kind]?.package === ours);
}

/** The column with guests in their parts. */
export function seat(column: Column, guests: readonly Guest[]): Column {
  const of = (kind: PluginModule["kind"]) =>
    Object.fromEntries(guests.filter((g) => g.plugin.kind === kind).map((g) => [g.part, g.plugin.create]));
  const { exporters, importers } = column.players;
  return {
    ...column,
    players: { exporters: { ...exporters, ...of("exporter") }, importers: { ...importers, ...of("importer") } },
  };
}

/** The packages of a cell with the guests' names instead of ours. */
export function packagesWith(ours: readonly string[], guests: readonly Guest[]): readonly string[] {
  return ours.map((name) => guests.find((g) => name === `@dma-buf/${g.plugin.kind}-${g.part}`)?.plugin.name ?? name);
}
