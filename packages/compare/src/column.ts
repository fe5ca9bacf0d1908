/** Which packages play which part under which contract. A column is data: another contract is another entry. */
import { type Contract, type Framework } from "@dma-buf/core";
import type { GpuExporter, GpuHost as GpuExporterHost, GpuOptions as GpuExporterOptions } from "@dma-buf/exporter-gpu";
import type { UdmabufExporter, UdmabufHost, UdmabufMergedOptions } from "@dma-buf/exporter-udmabuf";
import type { VfioExporter, VfioHost, VfioOptions } from "@dma-buf/exporter-vfio";
import type { GpuHost, GpuImporter, GpuOptions } from "@dma-buf/importer-gpu";
import type { Iommufd, IommufdHost, IommufdOptions } from "@dma-buf/importer-iommufd";
import type { KvmHost, KvmImporter, KvmOptions } from "@dma-buf/importer-kvm";
import type { RdmaHost, RdmaImporter, RdmaOptions } from "@dma-buf/importer-rdma";

/** A plugin's factory, as its module has it. */
export type Factory<Options, Host, Plugin> = (options?: Options) => (framework: Framework, host: Host) => Plugin;

/** One package for each part, in the variant of one contract. */
export interface Players {
  readonly exporters: {
    readonly vfio: Factory<VfioOptions, VfioHost, VfioExporter>;
    readonly gpu: Factory<GpuExporterOptions, GpuExporterHost, GpuExporter>;
    readonly udmabuf: Factory<UdmabufMergedOptions, UdmabufHost, UdmabufExporter>;
  };
  readonly importers: {
    readonly gpu: Factory<GpuOptions, GpuHost, GpuImporter>;
    readonly kvm: Factory<KvmOptions, KvmHost, KvmImporter>;
    readonly iommufd: Factory<IommufdOptions, IommufdHost, Iommufd>;
    readonly rdma: Factory<RdmaOptions, RdmaHost, RdmaImporter>;
  };
}

export interface Column {
  readonly contract: Contract;
  readonly players: Players;
  /**
   * Of a column of yours: the id of ours whose packages play. What scenarios say of that one they say of yours: how it is read,
   * and what cannot be built. Never what to expect.
   */
  readonly like?: string;
}
