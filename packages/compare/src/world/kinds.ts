/** Who can play: the kinds that a scenario's file may name. Another kind is another file and a line here. */
import * as v from "valibot";
import type { AnyKind, ExporterActor } from "./actor.js";
import { vfioPci } from "./exporters/vfio-pci.js";
import { gpu } from "./importers/gpu.js";
import { iommufd } from "./importers/iommufd.js";
import { kvm } from "./importers/kvm.js";
import { nic } from "./importers/nic.js";
import { unplayedExporter, unplayedImporter } from "./unplayed.js";

// biome-ignore lint/suspicious/noExplicitAny: see AnyKind
export const exporterKinds: Readonly<Record<string, AnyKind<ExporterActor<any>>>> = {
  "vfio-pci": vfioPci,
  gpu: unplayedExporter,
  udmabuf: unplayedExporter,
  "system-heap": unplayedExporter,
  "out-of-tree": unplayedExporter,
  test: unplayedExporter,
  carveout: unplayedExporter,
  ram: unplayedExporter,
};

export const importerKinds: Readonly<Record<string, AnyKind>> = {
  nic,
  kvm,
  iommufd,
  gpu,
  v4l2: unplayedImporter,
  type1: unplayedImporter,
  xe: unplayedImporter,
  test: unplayedImporter,
  "out-of-tree": unplayedImporter,
  cpu: unplayedImporter,
};

/** What the machine itself can be told: the actor `platform`. */
export const platformActions: { readonly "flush-queue-timer": v.StrictObjectSchema<{}, undefined> } = {
  /** The timers of lazy IOTLB flushing, at once. */
  "flush-queue-timer": v.strictObject({}),
};
