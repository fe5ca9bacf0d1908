/** A DMA address is valid for one device, and a guest is none: nothing here can go into a second stage. */
import { DmaBufError, type Framework, type PhysAddr, type PluginModule } from "@dma-buf/core";
import { KvmImporter, type KvmOptions, type Resolve } from "./engine.js";
import type { KvmHost } from "./host.js";

const resolve: Resolve = (run): PhysAddr => {
  throw new DmaBufError("EOPNOTSUPP", {
    op: "KVM_RUN",
    stage: "map",
    message: `a run of kind ${run.kind}: a second stage holds CPU-physical addresses, and this says none`,
  });
};

/** `kvmImporter(options)(framework, host)`. */
export const kvmImporter =
  (options: KvmOptions = {}) =>
  (framework: Framework, host: KvmHost): KvmImporter =>
    new KvmImporter(framework, host, resolve, options);

export const dmaBufPlugin: PluginModule<KvmOptions, KvmHost, KvmImporter> = {
  schemaVersion: 1,
  kind: "importer",
  name: "kvm",
  contracts: ["dma-address"],
  capabilities: ["invalidate", "peer2peer"],
  create: kvmImporter,
};
