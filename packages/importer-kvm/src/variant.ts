/** How the files that stand beside each other are made: one variant of the importer each, by its contract. */
import { DmaBufError, type Framework, type PhysAddr, type PluginModule, type Run } from "@dma-buf/core";
import type { SlotOver } from "./buffer-slots.js";
import type { Place, Placing } from "./dma-buf-source.js";
import { KvmImporter } from "./engine.js";
import type { KvmHost } from "./host.js";
import type { KvmOptions } from "./options.js";
import { needObject } from "./shape.js";

/** What one contract makes of KVM. */
export interface Contracted extends Placing {
  readonly slotOver: SlotOver;
  /**
   * Which KVM was posted that differs: that of the RFC of January 2025, or the one that is merged, with the series of 2025
   * that took private device memory through its mappings. `null`: there is no `asPosted`.
   */
  readonly posted: "rfc" | "merged" | null;
  /** Of the posted one: where runs lie. @defaultValue as the best */
  readonly postedPlace?: (host: KvmHost) => Place;
}

/** `kvmImporter(options)(framework, host)`: one VM. @throws TypeError for one of the three that is no object */
export type KvmFactory = (options?: KvmOptions) => (framework: Framework, host: KvmHost) => KvmImporter;

export const factory =
  (contracted: Contracted): KvmFactory =>
  (options = {}) =>
  (framework, host) => {
    needObject(options, "options", "an object, or leave it out");
    needObject(framework, "framework", "a Framework");
    needObject(host, "host", "a KvmHost");
    return new KvmImporter(framework, host, contracted, options);
  };

/** What the door is shown. */
export type KvmPlugin = PluginModule<KvmOptions, KvmHost, KvmImporter>;

export const plugin = (create: KvmFactory, contract: string): KvmPlugin => ({
  schemaVersion: 1,
  kind: "importer",
  name: "kvm",
  contracts: [contract],
  capabilities: ["invalidate", "peer2peer"],
  create,
});

/** A second stage holds the CPU's addresses. @throws DmaBufError `EOPNOTSUPP` for a run of another space */
export function physicalOf(run: Run): PhysAddr {
  if (run.kind === "cpu-physical") return run.address;
  throw new DmaBufError("EOPNOTSUPP", {
    op: "KVM_RUN",
    stage: "map",
    message: `a run of kind ${run.kind}: a second stage holds CPU-physical addresses, let the exporter offer one`,
    values: { kind: run.kind },
  });
}
