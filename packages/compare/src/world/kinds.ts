/** Who can play: the kinds that a scenario's file may name. Another kind is another file and a line here. */
import * as v from "valibot";
import type { AnyKind, ExporterActor } from "./actor.js";
import { carveout } from "./exporters/carveout.js";
import { outOfTree as outOfTreeExporter } from "./exporters/out-of-tree.js";
import { udmabuf } from "./exporters/udmabuf.js";
import { vfioPci } from "./exporters/vfio-pci.js";
import { gpu as gpuExporter } from "./exporters/gpu.js";
import { cpu } from "./importers/cpu.js";
import { gpu, xe } from "./importers/gpu.js";
import { iommufd } from "./importers/iommufd.js";
import { type1 } from "./importers/type1.js";
import { kvm } from "./importers/kvm.js";
import { nic } from "./importers/nic.js";
import { outOfTree as outOfTreeImporter } from "./importers/out-of-tree.js";
import { v4l2 } from "./importers/v4l2.js";

// biome-ignore lint/suspicious/noExplicitAny: see AnyKind
export const exporterKinds: Readonly<Record<string, AnyKind<ExporterActor<any>>>> = {
  "vfio-pci": vfioPci,
  gpu: gpuExporter,
  udmabuf,
  "system-heap": udmabuf,
  "out-of-tree": outOfTreeExporter,
  carveout,
};

export const importerKinds: Readonly<Record<string, AnyKind>> = {
  nic,
  kvm,
  iommufd,
  gpu,
  v4l2,
  type1,
  xe,
  "out-of-tree": outOfTreeImporter,
  cpu,
};

/** What the machine itself can be told: the actor `platform`. */
export const platformActions: Readonly<
  Record<"flush-queue-timer" | "unplug" | "acs-redirect", v.StrictObjectSchema<{}, undefined>>
> = {
  /** The timers of lazy IOTLB flushing, at once. */
  "flush-queue-timer": v.strictObject({}),
  /** The exporter's function is pulled out, and nobody was asked. */
  unplug: v.strictObject({}),
  /** Somebody sets ACS request redirect on the port above the first importer's function. */
  "acs-redirect": v.strictObject({}),
};
