/** The private agreement of vfio-pci and iommufd, as a window. Linux: `iopt_map_dmabuf()`, `vfio_pci_dma_buf_iommufd_map()`. */
import {
  type Device,
  type DmaBufAttachment,
  DmaBufError,
  type Held,
  type Op,
  type PhysAddr,
  type Run,
  type Window,
} from "@dma-buf/core";
import { checked } from "@dma-buf/scatterlist";
import { refused } from "./buffer-path.js";
import type { World } from "./world.js";

/** How it is found: iommufd knows no exporter by name. */
const PRIVATE_MAP = Symbol.for("vfio_pci_dma_buf_iommufd_map");

type PrivateMap = (at: DmaBufAttachment, held: Held) => { readonly physical: PhysAddr; readonly sizeBytes: number };

/**
 * What iommufd attaches with: a device of its own, for all IOASes, that is on no bus and does no DMA. An exporter that asks
 * for a route finds none.
 */
export const fakeDevice: Device = {
  name: "iommufd",
  spaces: [],
  dma: { maskBits: 64, mapPhys: noDma, unmapPhys: noDma, tryAllocIova: () => null },
  write: noAccess,
  read: noAccess,
};

/**
 * Pins and asks. `asksFirst`: looks for the agreement before it pins, so that a buffer that can move stays where it is.
 * @throws DmaBufError at stage `map`: `EOPNOTSUPP` the exporter has no such agreement; and what its pin refuses with
 */
export function* privateWindow({ fw }: World, at: DmaBufAttachment, asksFirst: boolean): Op<Window> {
  const map = at.buf.ops.interfaces?.get(PRIVATE_MAP) as PrivateMap | undefined;
  if (!map && asksFirst) throw noAgreement(at);
  using held = yield* at.buf.resv.lock();
  yield* fw.pinAttachment(at, held);
  if (!map) {
    yield* fw.unpinAttachment(at, held);
    throw noAgreement(at);
  }
  return checked(fw, at, {
    resv: "held",
    *runs(_offset, _sizeBytes, guard) {
      const { physical, sizeBytes } = map(at, guard as Held);
      return [{ kind: "cpu-physical", offset: 0, sizeBytes, address: physical, attributes: null } satisfies Run];
    },
    *drop() {},
    *close() {
      using guard = yield* at.buf.resv.lock();
      yield* fw.unpinAttachment(at, guard);
    },
  });
}

function noAgreement({ buf }: DmaBufAttachment): DmaBufError {
  return refused("EOPNOTSUPP", `${buf.exporterName} has no agreement with iommufd: map what is behind the buffer`);
}

function noDma(): never {
  throw new DmaBufError("EIO", { op: "dma_map_phys", stage: "map", message: "iommufd's device does no DMA" });
}

function* noAccess(): Op<never> {
  yield* [];
  return noDma();
}
