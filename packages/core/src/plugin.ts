/** The door through which a plugin comes in: a module offers `dmaBufPlugin`. */
import type { Framework } from "./framework.js";

/** A curried factory: options are the author's, framework and host are given by whoever runs it. */
export type PluginFactory<Options, Host, Plugin> = (options: Options) => (framework: Framework, host: Host) => Plugin;

/** What a plugin's module offers. Undeclared means absent: a capability that is not listed must refuse. */
export interface PluginModule<Options = never, Host = never, Plugin = unknown> {
  readonly schemaVersion: 1;
  readonly kind: "exporter" | "importer";
  readonly name: string;
  /**
   * In whose place a comparison puts it: `vfio-pci`, `gpu` or `udmabuf` of exporters, `rdma`, `kvm`, `iommufd` or `gpu` of
   * importers. @defaultValue its name
   */
  readonly plays?: string;
  /** Ids of the contracts it was written for. Printed and filtered by, never branched on. */
  readonly contracts: readonly string[];
  readonly capabilities: readonly string[];
  readonly create: PluginFactory<Options, Host, Plugin>;
}
