/** Linux 6.13, the base of the debate: the exporter maps, the importer sees DMA addresses. */
import type { Contract, Row } from "../contract.js";
import type { Run } from "../run.js";
import { mappedWindow } from "./window.js";

const source = "Linux 6.13, drivers/dma-buf/dma-buf.c and include/linux/dma-buf.h";

function row(
  call: string,
  party: Row["party"],
  rest: Omit<Row, "id" | "party" | "kernelName" | "source" | "errors" | "maySleep" | "owner"> &
    Partial<Pick<Row, "errors" | "maySleep" | "owner" | "kernelName">>,
): Row {
  return {
    id: `dma-address/${call}`,
    party,
    maySleep: true,
    owner: "nothing is returned",
    errors: {},
    kernelName: { "6.13": call },
    source,
    ...rest,
  };
}

export const dmaAddress: Contract = {
  id: "dma-address",
  title: "The exporter maps for the attached device; the importer sees DMA addresses only (Linux 6.13).",
  base: "6.13",
  rows: {
    attach: row("attach", "exporter", {
      presence: "optional",
      resv: "free",
      errors: { EBUSY: "the backing cannot be moved to where this device reaches it", EOPNOTSUPP: "no peer-to-peer" },
    }),
    detach: row("detach", "exporter", { presence: "optional", resv: "free" }),
    pin: row("pin", "exporter", {
      presence: "optional",
      pairedWith: "unpin",
      resv: "held",
      errors: { EINVAL: "not pinnable" },
    }),
    unpin: row("unpin", "exporter", { presence: "optional", pairedWith: "pin", resv: "held" }),
    mapDmaBuf: row("map_dma_buf", "exporter", {
      presence: "mandatory",
      pairedWith: "unmapDmaBuf",
      resv: "held",
      owner: "the exporter; valid until unmap_dma_buf, or until it calls move_notify",
      errors: { ENOMEM: "no memory, or NULL returned", EINTR: "a signal", ENODEV: "revoked", EINVAL: "no route" },
    }),
    unmapDmaBuf: row("unmap_dma_buf", "exporter", { presence: "mandatory", pairedWith: "mapDmaBuf", resv: "held" }),
    release: row("release", "exporter", { presence: "mandatory", resv: "free" }),
    invalidateMappings: row("move_notify", "importer", { presence: "mandatory", resv: "held" }),
    export: row("dma_buf_export", "framework", {
      presence: "mandatory",
      resv: "either",
      maySleep: false,
      owner: "the caller: one reference",
      errors: { EINVAL: "operations or priv missing, or a callback without its pair" },
    }),
    dynamicAttach: row("dma_buf_dynamic_attach", "framework", {
      presence: "mandatory",
      resv: "free",
      owner: "the importer, until detach; takes no reference to the buffer",
      errors: { EINVAL: "no device, or dynamic without move_notify", ENOMEM: "no memory" },
    }),
    detachAttachment: row("dma_buf_detach", "framework", { presence: "mandatory", resv: "free" }),
    mapAttachment: row("dma_buf_map_attachment", "framework", {
      presence: "mandatory",
      pairedWith: "unmapAttachment",
      resv: "held",
      owner: "the exporter; one unmap for each map",
      errors: { EINVAL: "not attached", ENOMEM: "the exporter returned no table" },
    }),
    unmapAttachment: row("dma_buf_unmap_attachment", "framework", {
      presence: "mandatory",
      pairedWith: "mapAttachment",
      resv: "held",
    }),
    pinAttachment: row("dma_buf_pin", "framework", {
      presence: "mandatory",
      pairedWith: "unpinAttachment",
      resv: "held",
    }),
    unpinAttachment: row("dma_buf_unpin", "framework", {
      presence: "mandatory",
      pairedWith: "pinAttachment",
      resv: "held",
    }),
    invalidate: row("dma_buf_move_notify", "framework", { presence: "mandatory", resv: "held" }),
    get: row("get_dma_buf", "framework", {
      presence: "mandatory",
      resv: "either",
      maySleep: false,
      owner: "the caller: one reference",
    }),
    put: row("dma_buf_put", "framework", { presence: "mandatory", resv: "free" }),
  },
  lifeCycle: {
    attached: ["mapAttachment", "pinAttachment", "unpinAttachment", "detachAttachment"],
    mapped: ["mapAttachment", "unmapAttachment", "pinAttachment", "unpinAttachment"],
    detached: [],
  },
  policy: {
    device: "always",
    bridgeStatic: "at-attach",
    invalidate: "mandatory",
    drain: ["fences"],
    backing: ["mapDmaBuf"],
  },
  *open(fw, at, direction) {
    return mappedWindow(fw, at, direction, (run) =>
      dmaOnly(run, () =>
        fw.report(
          "violation",
          "mapDmaBuf",
          "exporter",
          `a run of kind ${run.kind}: this contract carries DMA addresses only`,
        ),
      ),
    );
  },
};

/** The contract by withholding: whatever else an exporter puts into its table, the importer sees the address alone. */
function dmaOnly(run: Run, violation: () => void): Run {
  if (run.kind !== "dma") violation();
  return { kind: "dma", offset: run.offset, sizeBytes: run.sizeBytes, address: run.address as never };
}
