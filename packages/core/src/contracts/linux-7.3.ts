/** Linux 7.3.4 as merged: revoke with its two waits, static importers pinned at each map. */
import { type Contract, type ContractChanges, defineContract, type Row, rowsOf } from "../contract.js";
import { beginRace, dmaAddress } from "./dma-address.js";

const core = "Linux 7.3, drivers/dma-buf/dma-buf.c";

const HELD = "the reservation is held, and the call takes it";
const OUTSIDE = "the reservation is held: it must not be";

const added = (name: string, given: Pick<Row, "does" | "resv" | "owner" | "stage"> & Partial<Row>): Row => ({
  id: `linux-7.3/${name}`,
  party: "framework",
  presence: "mandatory",
  inside: "leaves",
  maySleep: false,
  errors: {},
  findings: [],
  kernelName: { "7.3": name },
  source: `${core}: ${name}()`,
  ...given,
});

/** Every row says where it stands in 7.3, and those that changed say what. */
function moved(changes: NonNullable<ContractChanges["change"]>): NonNullable<ContractChanges["change"]> {
  const all: Record<string, Partial<Row>> = {};
  for (const [call, row] of rowsOf(dmaAddress)) {
    const name = row.kernelName["7.3"] ?? "";
    const source = row.source.replace("6.13", "7.3").replace(row.kernelName["6.13"] ?? name, name);
    all[call] = { id: `linux-7.3/${name}`, source, ...changes[call] };
  }
  return all;
}

/**
 * Linux 7.3 as it is.
 * @example
 * linux73.policy.bridgeStatic; // "at-map"
 */
export const linux73: Contract = defineContract(dmaAddress, {
  id: "linux-7.3",
  title: "Linux 7.3: as dma-address, and a revoke waits for the fences and then for the unmap.",
  base: "7.3",
  change: moved({
    invalidateMappings: { presence: "optional" },
    staticAttach: { errors: { EINVAL: "no buffer, or no device where one is needed", ENOMEM: "no memory" } },
    pin: { findings: ["EBUSY for a static importer"] },
    dynamicAttach: {
      errors: { EINVAL: "no buffer, or no device where one is needed", ENOMEM: "no memory" },
      findings: ["no buffer, or no device where one is needed", HELD],
    },
    mapAttachment: {
      does: "Maps; a static importer is pinned for as long, and waits for KERNEL fences.",
      errors: {
        EINVAL: "not attached",
        ENOMEM: "the exporter returned no table",
        EBUSY: "the exporter's pin said so",
        ERESTARTSYS: "a signal while waiting for fences; the mapping is undone",
      },
    },
  }),
  add: {
    fdInstall: added("dma_buf_fd_install", {
      party: "file",
      stage: "fd",
      does: "Puts the buffer into an fd that was reserved before.",
      resv: "free",
      owner: "the fd: the caller's reference is consumed",
      findings: [OUTSIDE],
    }),
    isRevocable: added("dma_buf_attach_revocable", {
      stage: "attach",
      does: "Can this importer be told to stop? An exporter that revokes asks it in attach.",
      resv: "either",
      owner: "an answer",
    }),
    nextBuffer: added("dma_buf_iter_next", {
      stage: "fd",
      does: "The next of all buffers, with a reference; gives the one before back. Dying ones are passed over.",
      resv: "free",
      maySleep: true,
      owner: "the caller: one reference, until the next call",
      findings: [OUTSIDE],
    }),
  },
  defects: [
    beginRace,
    {
      id: "linux-7.3/defect-iova-offset-zero",
      what: "every range is linked at the first byte of the IOVA: a buffer of several ranges cannot be mapped",
      source: "Linux 7.3, drivers/dma-buf/dma-buf-mapping.c: dma_buf_phys_vec_to_sgt()",
    },
    {
      id: "linux-7.3/defect-entry-array-leak",
      what: "the entry array of a table is never freed: it is freed by a count that the helper has zeroed",
      source: "Linux 7.3, drivers/dma-buf/dma-buf-mapping.c: dma_buf_free_sgt(); lib/scatterlist.c: sg_free_table()",
    },
    {
      id: "linux-7.3/defect-no-mask-check",
      what: "a bus address is handed out that the device cannot drive",
      source: "Linux 7.3, drivers/dma-buf/dma-buf-mapping.c: the bus-address arm of dma_buf_phys_vec_to_sgt()",
    },
  ],
  policy: {
    bridgeStatic: "at-map",
    invalidate: "optional",
    drain: ["fences", "unmap"],
    cacheSgtMapping: false,
    moveNotifyOption: false,
  },
});
