/** Each address says where it is valid and how it may be reached. Without a device it is a CPU's. Posted by nobody. */
import type { Attributes, DmaBufOps, Framework, PluginModule, Run } from "@dma-buf/core";
import type { PhysVecTable } from "@dma-buf/scatterlist";
import type { Backing } from "./backing.js";
import { type UdmabufExporter, udmabufEngine, type UdmabufOptions } from "./engine.js";
import type { UdmabufHost } from "./host.js";
import { mapped } from "./mapped.js";

/** RAM is cacheable, and a device's access looks into the caches. */
const attributes: Attributes = { cache: "wb", snoop: true };

const variant = (backing: Backing): Required<Pick<DmaBufOps, "mapDmaBuf" | "unmapDmaBuf">> => {
  const { mapDmaBuf, unmapDmaBuf } = mapped(backing, { bounces: false, attributes });
  return {
    mapDmaBuf: (at, direction, held) => (at.device ? mapDmaBuf(at, direction, held) : cpuPhysical(backing)),
    unmapDmaBuf,
  };
};

function cpuPhysical(backing: Backing): Pick<PhysVecTable, "free"> & { readonly runs: readonly Run[] } {
  let offset = 0;
  const runs = backing.ranges().map(({ physical, sizeBytes }): Run => {
    const run: Run = { kind: "cpu-physical", offset, sizeBytes, address: physical, attributes };
    offset += sizeBytes;
    return run;
  });
  return { runs, *free() {} };
}

/** `udmabufExporter(options)(framework, host)`. */
export const udmabufExporter =
  (options: UdmabufOptions = {}) =>
  (framework: Framework, host: UdmabufHost): UdmabufExporter =>
    udmabufEngine(framework, host, options, variant);

/** The capabilities are those without options; with `movable` there are `pin` and `move` too. */
export const dmaBufPlugin: PluginModule<UdmabufOptions, UdmabufHost, UdmabufExporter> = {
  schemaVersion: 1,
  kind: "exporter",
  name: "udmabuf",
  contracts: ["annotated-address"],
  capabilities: ["map", "static", "cpu-access", "mmap", "vmap"],
  create: udmabufExporter,
};
