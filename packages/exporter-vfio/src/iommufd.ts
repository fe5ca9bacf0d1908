/** The private agreement of vfio-pci and iommufd: where the one range of a buffer lies. Linux: `vfio_pci_dma_buf_iommufd_map()`. */
import type { DmaBufAttachment, Held } from "@dma-buf/core";
import { VfioDmaBuf } from "./buffer.js";
import type { VfioRegion } from "./host.js";
import { refuse } from "./refuse.js";

/**
 * Where an importer finds {@link IommufdMap} in `DmaBufOps.interfaces`. In Linux only the module "iommufd" may link to it.
 * @example
 * const buf = yield* exporter.export({ regionIndex: 0, ranges: [{ offset: 0x1000, length: 0x3000 }] });
 * const attachment = yield* framework.dynamicAttach(buf, device, importer);
 * using held = yield* buf.resv.lock();
 * buf.ops.interfaces.get(IOMMUFD_MAP)(attachment, held); // { physical: 0x40_0000_1000, sizeBytes: 0x3000 }
 */
export const IOMMUFD_MAP: unique symbol = Symbol.for("vfio_pci_dma_buf_iommufd_map") as never;

/**
 * The range, for an importer that maps it itself. Valid until its invalidate callback returns: no revoke waits for it,
 * as it is not counted as a mapping. Reservation held; does not sleep.
 * @throws DmaBufError at stage `map`: `EOPNOTSUPP` not vfio's buffer, not exactly one range, or the device is one
 * VM's · `ENODEV` revoked
 */
export type IommufdMap = (attachment: DmaBufAttachment, held: Held) => VfioRegion;

const iommufdMap: IommufdMap = (attachment, held) => {
  const { buf } = attachment;
  const { priv } = buf;
  if (!(priv instanceof VfioDmaBuf))
    return refuse("EOPNOTSUPP", "map", `${buf.exporterName} is not vfio-pci: map it as its exporter offers`);
  if (!(held.live && held.resv === buf.resv))
    priv.owner.fw.report("violation", "mapDmaBuf", "importer", `asked without holding ${buf.resv.name}: lock it first`);
  priv.checkNotRevoked("map");
  priv.checkShared(attachment, "map");
  const [vec] = priv.vecs;
  if (!vec || priv.vecs.length !== 1)
    return refuse("EOPNOTSUPP", "map", `the buffer has ${priv.vecs.length} ranges, and iommufd takes one: export one`);
  return vec;
};

export const iommufdInterface: ReadonlyMap<symbol, unknown> = new Map([[IOMMUFD_MAP, iommufdMap]]);
