/** How the files that stand beside each other are made: one variant of the importer each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import type { Conduct } from "./conduct.js";
import { rdmaEngine } from "./engine.js";
import type { RdmaHost } from "./host.js";
import type { RdmaImporter } from "./importer.js";
import type { RdmaOptions } from "./options.js";

/**
 * `rdmaImporter(options)(framework, host)`: the importer of one device. The framework's contract is to be the variant's.
 * @throws DmaBufError `EINVAL` at stage `map`, from the second call: no host, no functions, or an option that cannot be
 */
export type RdmaFactory = (options?: RdmaOptions) => (framework: Framework, host: RdmaHost) => RdmaImporter;

export const variant =
  (conforming: Conduct, asPosted: Conduct = conforming): RdmaFactory =>
  (options = {}) =>
  (framework, host) =>
    rdmaEngine(framework, host, options, options?.asPosted ? asPosted : conforming);

/** What the door is shown. */
export type RdmaPlugin = PluginModule<RdmaOptions, RdmaHost, RdmaImporter>;

export const plugin = (create: RdmaFactory, contract: string): RdmaPlugin => ({
  schemaVersion: 1,
  kind: "importer",
  name: "rdma",
  contracts: [contract],
  capabilities: ["invalidate", "peer2peer"],
  create,
});
