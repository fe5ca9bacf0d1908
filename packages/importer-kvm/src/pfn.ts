/** The importer maps: a page frame goes into the second stage as it is. */
import { DmaBufError, type Framework, type PluginModule } from "@dma-buf/core";
import { KvmImporter, type KvmOptions, type Resolve } from "./engine.js";
import type { KvmHost } from "./host.js";

const resolve: Resolve = (run) => {
  if (run.kind === "cpu-physical") return run.address;
  throw new DmaBufError("EOPNOTSUPP", {
    op: "KVM_RUN",
    stage: "map",
    message: `a run of kind ${run.kind}: a second stage holds CPU-physical addresses`,
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
  contracts: ["pfn"],
  capabilities: ["invalidate", "peer2peer"],
  create: kvmImporter,
};
