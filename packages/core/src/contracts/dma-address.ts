/** Linux 6.13, the base of the debate: the exporter maps, the importer sees DMA addresses. */
import type { Contract, Defect, Row } from "../contract.js";
import { dmaOnly, mappedWindow } from "./window.js";

type Given = Pick<Row, "does" | "resv" | "stage"> & Partial<Omit<Row, "id" | "party" | "kernelName">>;

function row(party: Row["party"], kernelName: Row["kernelName"], source: string, given: Given): Row {
  return {
    id: `dma-address/${kernelName["6.13"]}`,
    party,
    presence: party === "exporter" || party === "importer" ? "optional" : "mandatory",
    inside: "leaves",
    maySleep: true,
    owner: "nothing is returned",
    errors: {},
    findings: [],
    kernelName,
    source: `Linux 6.13, ${source}`,
    ...given,
  };
}

/** A callback of the exporter. `resv: "free"` ones may take the reservation, `"held"` ones must not. */
const callback = (name: string, given: Given): Row =>
  row("exporter", { "6.13": name, "7.3": name }, `include/linux/dma-buf.h: struct dma_buf_ops.${name}`, {
    inside: given.resv === "free" ? "may-take" : "leaves",
    ...given,
  });

/** A call on the buffer's file. */
const file = (name: string, given: Given): Row =>
  row("file", { "6.13": name, "7.3": name }, `drivers/dma-buf/dma-buf.c: ${name}()`, given);

/** A call into the core; `renamed` is its name in 7.3. */
const call = (name: string, given: Given, renamed = name): Row =>
  row("framework", { "6.13": name, "7.3": renamed }, `drivers/dma-buf/dma-buf.c: ${name}()`, given);

const NOT_HELD = "the reservation is not held";
const HELD = "the reservation is held, and the call takes it";
const OUTSIDE = "the reservation is held: it must not be";

/** Still there in 7.3. */
export const beginRace: Defect = {
  id: "dma-address/defect-begin-race",
  what: "two that begin CPU access at once each make the exporter's mapping, and one of them is never given back",
  source: "Linux 6.13 and 7.3, drivers/dma-buf/udmabuf.c: begin_cpu_udmabuf()",
};

/**
 * What importers see in Linux 6.13: the addresses that the exporter mapped for their device, and no more.
 * @example
 * dmaAddress.rows.mapDmaBuf.resv; // "held"
 */
export const dmaAddress: Contract = {
  id: "dma-address",
  title: "The exporter maps for the attached device; the importer sees DMA addresses only (Linux 6.13).",
  base: "6.13",
  rows: {
    attach: callback("attach", {
      stage: "attach",
      does: "Says whether this importer can be served; may clear peer2peer, before the attachment is on the list.",
      resv: "free",
      errors: {
        EBUSY: "the backing cannot be moved to where this device reaches it",
        EOPNOTSUPP: "no peer-to-peer",
        ENODEV: "revoked",
      },
    }),
    detach: callback("detach", {
      stage: "attach",
      does: "Undoes attach, after the attachment left the list.",
      resv: "free",
    }),
    pin: callback("pin", {
      stage: "pin",
      does: "Keeps the backing where it is. Makes the exporter a dynamic one.",
      resv: "held",
      pairedWith: "unpin",
      errors: { EBUSY: "it cannot stay", EINVAL: "it cannot be pinned", ENOMEM: "no room where it may be pinned" },
    }),
    unpin: callback("unpin", { stage: "pin", does: "Undoes pin.", resv: "held", pairedWith: "pin" }),
    mapDmaBuf: callback("map_dma_buf", {
      stage: "map",
      does: "Maps the backing for the attached device: a new table each time.",
      resv: "held",
      presence: "mandatory",
      pairedWith: "unmapDmaBuf",
      owner: "the exporter; valid until unmap_dma_buf, or until it invalidates",
      errors: {
        ENOMEM: "no memory, or beyond the device's mask",
        EINTR: "a signal",
        ENODEV: "revoked",
        EINVAL: "no route",
        EBUSY: "the pages cannot be mapped for this device",
        EOPNOTSUPP: "nothing that this importer reaches can hold it",
        EIO: "the device would reach a bounce buffer",
        EPERM: "no peer-to-peer, told as late as this",
        EADDRINUSE: "the IOVA is in use",
      },
      findings: ["no table", "a table that is out already"],
    }),
    unmapDmaBuf: callback("unmap_dma_buf", {
      stage: "map",
      does: "Takes a table back. Cannot fail.",
      resv: "held",
      presence: "mandatory",
      pairedWith: "mapDmaBuf",
    }),
    release: callback("release", {
      stage: "export",
      does: "Ends the buffer: the last reference is gone.",
      resv: "free",
      presence: "mandatory",
    }),
    beginCpuAccess: callback("begin_cpu_access", {
      stage: "cpu-access",
      does: "Makes the bytes coherent for the CPU, before the core waits for fences.",
      resv: "free",
      errors: { ERESTARTSYS: "a signal", EINTR: "a signal", ENOMEM: "no memory", EIO: "the device cannot reach it" },
    }),
    endCpuAccess: callback("end_cpu_access", {
      stage: "cpu-access",
      does: "Makes the bytes coherent for devices.",
      resv: "free",
      errors: { EINVAL: "begin_cpu_access was not called" },
    }),
    mmap: callback("mmap", {
      stage: "mmap",
      does: "Fills a CPU mapping, or says who will; the size was checked.",
      resv: "free",
      errors: { EINVAL: "not mappable", ENODEV: "revoked" },
    }),
    vmap: callback("vmap", {
      stage: "cpu-access",
      does: "Maps the whole buffer for the kernel: the first user's call only.",
      resv: "held",
      owner: "all users share one mapping, until the last vunmap",
      errors: {
        ENOMEM: "no memory",
        EINVAL: "no memory, as udmabuf says it",
        ENODEV: "revoked",
        EBUSY: "it cannot stay where the CPU reaches it",
      },
      findings: ["any error"],
    }),
    vunmap: callback("vunmap", { stage: "cpu-access", does: "Undoes vmap: the last user's call only.", resv: "held" }),
    invalidateMappings: row(
      "importer",
      { "6.13": "move_notify", "7.3": "invalidate_mappings" },
      "include/linux/dma-buf.h: struct dma_buf_attach_ops.move_notify",
      {
        stage: "map",
        does: "The backing moves or is revoked: stop using it, and map again later.",
        resv: "held",
        presence: "mandatory",
      },
    ),
    export: call("dma_buf_export", {
      stage: "export",
      does: "Makes a buffer out of an exporter's operations.",
      resv: "free",
      owner: "the caller: one reference",
      errors: {
        EINVAL: "operations or priv missing, or a callback without its pair",
        ENOENT: "the owner is unloading",
        ENOMEM: "no memory",
      },
      findings: ["operations or priv missing, or a callback without its pair", OUTSIDE],
    }),
    fd: file("dma_buf_fd", {
      stage: "fd",
      does: "Puts the buffer into the file table.",
      resv: "free",
      owner: "the fd: the caller's reference is consumed; on an error the caller keeps it",
      errors: { EINVAL: "no buffer", EMFILE: "the table is full" },
      findings: [OUTSIDE],
    }),
    getByFd: file("dma_buf_get", {
      stage: "fd",
      does: "The buffer behind an fd.",
      resv: "free",
      owner: "the caller: one reference",
      errors: { EBADF: "no such fd", EINVAL: "not a dma-buf" },
      findings: [OUTSIDE],
    }),
    get: call("get_dma_buf", {
      stage: "fd",
      does: "Takes a reference.",
      resv: "either",
      maySleep: false,
      owner: "the caller: one reference",
      source: "Linux 6.13, include/linux/dma-buf.h: get_dma_buf()",
    }),
    put: call("dma_buf_put", {
      stage: "fd",
      does: "Gives a reference back; the last one releases.",
      resv: "free",
      findings: ["no buffer", "attachments left", "kernel mappings left", OUTSIDE],
    }),
    staticAttach: call("dma_buf_attach", {
      stage: "attach",
      does: "Attaches an importer that brings no operations: its mappings stay where they are.",
      resv: "free",
      inside: "takes",
      owner: "the importer, until detach",
      errors: {
        EINVAL: "no buffer, or no device where one is needed",
        ENOMEM: "no memory",
        EBUSY: "the bridge: it cannot be pinned",
        ERESTARTSYS: "the bridge: a signal while waiting for fences",
      },
      findings: ["no buffer, or no device where one is needed"],
    }),
    dynamicAttach: call("dma_buf_dynamic_attach", {
      stage: "attach",
      does: "Attaches an importer; asks the exporter first.",
      resv: "free",
      inside: "takes",
      owner: "the importer, until detach; takes no reference to the buffer",
      errors: {
        EINVAL: "no buffer, no device, or dynamic without move_notify",
        ENOMEM: "no memory",
        EBUSY: "the bridge: it cannot be pinned",
        ERESTARTSYS: "the bridge: a signal while waiting for fences",
      },
      findings: ["no buffer, no device, or dynamic without move_notify", HELD],
    }),
    detachAttachment: call("dma_buf_detach", {
      stage: "attach",
      does: "Detaches. Cannot fail.",
      resv: "free",
      inside: "takes",
      findings: ["not attached here", "still mapped", "still pinned", HELD],
    }),
    pinAttachment: call("dma_buf_pin", {
      stage: "pin",
      does: "Pins for a dynamic importer; succeeds without pinning where the exporter has no pin.",
      resv: "held",
      pairedWith: "unpinAttachment",
      findings: ["no attachment, or a detached one: an oops", "a static importer", NOT_HELD],
    }),
    unpinAttachment: call("dma_buf_unpin", {
      stage: "pin",
      does: "Undoes a pin.",
      resv: "held",
      pairedWith: "pinAttachment",
      findings: ["no attachment, or a detached one: an oops", "a static importer", "not pinned", NOT_HELD],
    }),
    mapAttachment: call("dma_buf_map_attachment", {
      stage: "map",
      does: "Maps; waits for KERNEL fences if the importer is static.",
      resv: "held",
      pairedWith: "unmapAttachment",
      owner: "the exporter; one unmap for each map, in the same direction",
      errors: {
        EINVAL: "not attached",
        ENOMEM: "the exporter returned no table",
        EBUSY: "cached at attach for another direction",
        ERESTARTSYS: "a signal while waiting for fences; the mapping is undone",
      },
      findings: ["not attached", NOT_HELD],
    }),
    unmapAttachment: call("dma_buf_unmap_attachment", {
      stage: "map",
      does: "Gives a mapping back. Cannot fail.",
      resv: "held",
      pairedWith: "mapAttachment",
      findings: ["not mapped", "another direction than the map's", NOT_HELD],
    }),
    mapAttachmentUnlocked: call("dma_buf_map_attachment_unlocked", {
      stage: "map",
      does: "Map, with the reservation taken and given back around it.",
      resv: "free",
      inside: "takes",
      owner: "as dma_buf_map_attachment",
      errors: {
        EINVAL: "not attached",
        ENOMEM: "as dma_buf_map_attachment",
        EBUSY: "as dma_buf_map_attachment",
        ERESTARTSYS: "as dma_buf_map_attachment",
      },
      findings: ["not attached", HELD],
    }),
    unmapAttachmentUnlocked: call("dma_buf_unmap_attachment_unlocked", {
      stage: "map",
      does: "Unmap, with the reservation taken and given back around it.",
      resv: "free",
      inside: "takes",
      findings: ["not mapped", HELD],
    }),
    invalidate: call(
      "dma_buf_move_notify",
      {
        stage: "map",
        does: "Calls every importer that brought the callback, newest attachment first.",
        resv: "held",
        findings: [NOT_HELD],
      },
      "dma_buf_invalidate_mappings",
    ),
    beginAccess: call("dma_buf_begin_cpu_access", {
      stage: "cpu-access",
      does: "Before the CPU reads or writes: the exporter's callback, then WRITE fences, for a writer READ too.",
      resv: "free",
      inside: "may-take",
      errors: { EINVAL: "no buffer", ERESTARTSYS: "a signal while waiting; the callback is not undone" },
      findings: ["no buffer", HELD],
    }),
    endAccess: call("dma_buf_end_cpu_access", {
      stage: "cpu-access",
      does: "After the CPU read or wrote: the exporter's callback. Pairing is not tracked.",
      resv: "free",
      inside: "may-take",
      findings: ["no buffer: an oops", HELD],
    }),
    mmapBuffer: call("dma_buf_mmap", {
      stage: "mmap",
      does: "Maps pages of the buffer into a VMA that an importer was asked to fill.",
      resv: "free",
      inside: "may-take",
      owner: "the VMA holds a reference until it is closed",
      errors: { EINVAL: "no buffer, no mmap callback, or beyond the end", EOVERFLOW: "the page offset wraps" },
      findings: ["no buffer or VMA", HELD],
    }),
    mmapFile: call("dma_buf_mmap_internal", {
      stage: "mmap",
      does: "mmap(2) on the fd.",
      resv: "free",
      inside: "may-take",
      owner: "the VMA holds a reference until it is closed",
      errors: { EINVAL: "no dma-buf, no mmap callback, or beyond the end" },
      findings: [HELD],
    }),
    vmapBuffer: call("dma_buf_vmap", {
      stage: "cpu-access",
      does: "The kernel's mapping of the whole buffer; counted.",
      resv: "held",
      pairedWith: "vunmapBuffer",
      owner: "shared by all users; one vunmap for each vmap",
      errors: { EINVAL: "no buffer, or no vmap callback" },
      findings: ["no buffer", NOT_HELD],
    }),
    vunmapBuffer: call("dma_buf_vunmap", {
      stage: "cpu-access",
      does: "Gives a kernel mapping back.",
      resv: "held",
      pairedWith: "vmapBuffer",
      findings: ["not mapped, or another mapping: BUG", NOT_HELD],
    }),
    vmapBufferUnlocked: call("dma_buf_vmap_unlocked", {
      stage: "cpu-access",
      does: "Vmap, with the reservation taken and given back around it.",
      resv: "free",
      inside: "takes",
      owner: "as dma_buf_vmap",
      errors: { EINVAL: "no buffer, or no vmap callback" },
      findings: [HELD],
    }),
    vunmapBufferUnlocked: call("dma_buf_vunmap_unlocked", {
      stage: "cpu-access",
      does: "Vunmap, with the reservation taken and given back around it.",
      resv: "free",
      inside: "takes",
      findings: ["no buffer", HELD],
    }),
    llseek: file("dma_buf_llseek", {
      stage: "fd",
      does: "lseek(2): tells the size. The file's position does not move.",
      resv: "either",
      maySleep: false,
      owner: "a size, bytes",
      errors: { EINVAL: "neither SEEK_SET nor SEEK_END, or an offset that is not 0" },
    }),
    poll: file("dma_buf_poll", {
      stage: "fd",
      does: "poll(2): EPOLLIN when a reader, EPOLLOUT when a writer need not wait.",
      resv: "free",
      inside: "takes",
      owner: "an armed direction holds a reference until its fence signals",
      findings: [HELD],
    }),
    ioctl: file("dma_buf_ioctl", {
      stage: "fd",
      does: "ioctl(2): SYNC, SET_NAME, and what is added: sync files.",
      resv: "free",
      inside: "may-take",
      errors: {
        EINVAL: "flags that are none, or a name of 32 characters or more",
        EFAULT: "the argument cannot be read",
        ENOTTY: "no such command",
        ERESTARTSYS: "a signal while SYNC waits for fences",
      },
      findings: [HELD],
    }),
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
    cacheSgtMapping: true,
    moveNotifyOption: true,
  },
  defects: [
    beginRace,
    {
      id: "dma-address/defect-one-entry-table",
      what: "the table has room by the buffer's length and not by its ranges: the second is written through NULL",
      source: "vfio-pci exporter as posted until March 2025, 20250307052248.405803",
    },
    {
      id: "dma-address/defect-reset-stays-revoked",
      what: "after a function level reset the exporter revokes again where it should give back: the buffer is dead",
      source: "vfio-pci exporter as posted until March 2025; fixed up in the repost of May 2025",
    },
  ],
  *open(fw, at, direction) {
    return mappedWindow(fw, at, direction, dmaOnly(fw));
  },
};
