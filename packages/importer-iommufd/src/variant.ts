/** How the files that stand beside each other are made: one variant of the importer each, by its contract. */
import type { Framework, PluginModule } from "@dma-buf/core";
import { attachBuffer } from "./attach-buffer.js";
import type { BufferPath } from "./buffer-path.js";
import type { IommufdHost } from "./host.js";
import { Iommufd } from "./iommufd.js";
import type { ImportBuffer, IommufdOptions } from "./world.js";

/** `iommufdImporter(options)(framework, host)`: one open `/dev/iommu`. */
export type IommufdFactory = (options?: IommufdOptions) => (framework: Framework, host: IommufdHost) => Iommufd;

/** The variant as it should be, and as it was posted or merged where that differs. */
export interface Both {
  readonly conforming: BufferPath;
  readonly asPosted?: BufferPath | ImportBuffer;
}

export const factory =
  ({ conforming, asPosted: posted = conforming }: Both): IommufdFactory =>
  (options = {}) =>
  (framework, host) =>
    new Iommufd(framework, host, importWith(options.asPosted ? posted : conforming), options);

const importWith = (path: BufferPath | ImportBuffer): ImportBuffer =>
  typeof path === "function" ? path : (world, range) => attachBuffer(world, path, range);

/** What the door is shown. */
export type IommufdPlugin = PluginModule<IommufdOptions, IommufdHost, Iommufd>;

export const plugin = (create: IommufdFactory, contract: string): IommufdPlugin => ({
  schemaVersion: 1,
  kind: "importer",
  name: "iommufd",
  contracts: [contract],
  capabilities: ["invalidate", "peer2peer"],
  create,
});
