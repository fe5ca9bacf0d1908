/** From what a scenario says of its machine to the machine itself: functions and ports, and how devices reach memory. */
import type { MachineOptions } from "@dma-buf/machine";
import { type CatalogueTopology, t1, t2 } from "@dma-buf/pci";
import type { ActorSpec, Scenario } from "../scenario/scenario.js";

/** How far bus numbers lie below the CPU's where a scenario says `offset: nonzero`. */
const OFFSET_BYTES = 0x20_0000_0000;
/** Page tables of others than Intel's. */
const IOMMU_KINDS: Readonly<Record<string, MachineOptions["iommuKind"]>> = {
  "io-pgtable-arm": "smmu-v3",
  "Arm stage 2": "smmu-v3",
};

/** The function that an importer does DMA with; `apart`: no switch joins it to the exporter. */
export type Place = "near" | "apart";

/** The functions that an importer needs, in its order. A VM's memory slot needs none; an IOAS's device stands for it. */
export function placesOf({ kind, options }: ActorSpec): readonly Place[] {
  if (kind === "kvm") return [];
  const { functions = 1, reaches = 0 } = options as { readonly functions?: number; readonly reaches?: number };
  return Array.from({ length: functions }, (_, i) => (i === reaches ? "near" : "apart"));
}

/** The topology that a scenario describes, with as many functions as its importers need. */
export function catalogueTopology({ topology, exporter, importers }: Scenario): CatalogueTopology {
  const { base, offset, allowlisted, acs, modifiers } = topology;
  const places = importers.flatMap(placesOf);
  const make = base === "T1" ? t1 : t2;
  const { barAddress, acsDirectTranslated = false, sameDevice = false } = modifiers;
  const { bar } = exporter.options;
  return make({
    allowlisted: allowlisted === "yes",
    acsRedirect: acs === "redirect",
    acsDirectTranslated,
    busOffsetBytes: offset === "nonzero" ? OFFSET_BYTES : 0,
    importers: Math.max(1, places.filter((place) => place === "near").length),
    ats: importers.some((i) => i.options["ats"] === true),
    apart: places.filter((place) => place === "apart").length,
    virtualFunction: sameDevice,
    ...(typeof bar === "number" ? { barBytes: bar } : {}),
    ...(barAddress === undefined ? {} : { barBase: barAddress }),
  });
}

/** What the machine is told besides its functions. */
export function machineOptions(
  { topology: { iommu, flush, modifiers }, importers }: Scenario,
  devices: readonly string[],
): Omit<MachineOptions, "topology" | "trace" | "rootComplexForwards"> {
  const { dmaMask, dmaWindow, pageTable, ram, coherent } = modifiers;
  const iommuKind = pageTable && IOMMU_KINDS[pageTable];
  return {
    iommu,
    flush,
    ...(iommuKind ? { iommuKind } : {}),
    dmaMaskBits: masks(importers, devices, dmaMask ?? 64),
    ...(ram === "above 4 GiB" ? { ramBytesMax: 8 * 2 ** 30 } : {}),
    ...(coherent === undefined ? {} : { coherent }),
    ...(honoursTypes(modifiers) ? { coherent: false } : {}),
    ...(dmaWindow === undefined ? {} : { busDmaLimit: dmaWindow }),
  };
}

/** Is it for a table to say who looks into the CPUs' caches? */
function honoursTypes({ smmuHonoursMemAttr, secondStage }: Scenario["topology"]["modifiers"]): boolean {
  return smmuHonoursMemAttr === true || String(secondStage).startsWith("Arm");
}

/** By function: an importer's own, or what the scenario says of all. */
function masks(importers: readonly ActorSpec[], devices: readonly string[], all: number): ReadonlyMap<string, number> {
  const own = importers.flatMap((spec) => {
    const { dmaMask = all } = spec.options as { readonly dmaMask?: number };
    return placesOf(spec).map(() => dmaMask);
  });
  return new Map(devices.map((address, i) => [address, own[i] ?? all]));
}
