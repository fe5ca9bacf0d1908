/** What is registered, and what is refused before anybody is asked. */
import { type DmaBuf, PAGE_SIZE } from "@dma-buf/core";
import { checkObject, refusal } from "./refuse.js";

/**
 * How a memory region keeps its memory.
 * - `on-demand`: told when it goes, faults, and maps again (mlx5).
 * - `pinned-revocable`: pinned; told when it goes, the device is stopped for ever (irdma).
 * - `pinned`: pinned, and cannot be told.
 * - `static`: attached without operations; never peer-to-peer.
 */
export type MrKind = "on-demand" | "pinned-revocable" | "pinned" | "static";

/** Linux: `enum ib_access_flags`. Local reads are always allowed. */
export type MrAccess = "local-write" | "remote-write" | "remote-read" | "remote-atomic" | "relaxed-ordering";

/** What `ibv_reg_dmabuf_mr()` is given. */
export interface RegMr {
  readonly buf: DmaBuf;
  readonly kind: MrKind;
  /** The first byte, in the buffer. */
  readonly offset: number;
  readonly sizeBytes: number;
  /** The address of that byte in requests; it lies at the same place of a page. @defaultValue `offset` */
  readonly iova?: number;
  /** @defaultValue local and remote, reading and writing */
  readonly access?: readonly MrAccess[];
  /**
   * Which function of the device does the DMA: an index into `host.functions`. It is the one that attaches. Linux:
   * `ib_umem_dmabuf_get_pinned_with_dma_device()`, asked for with `MLX5_IB_UAPI_REG_DMABUF_ACCESS_DATA_DIRECT`. @defaultValue 0
   */
  readonly dmaDevice?: number;
  /** Map at once, as mlx5 does? Without it the first access of an `on-demand` region faults. Others always map. @defaultValue true */
  readonly prefetch?: boolean;
}

/** A request that was looked at. */
export type CheckedMr = Required<RegMr>;

const KINDS: readonly MrKind[] = ["on-demand", "pinned-revocable", "pinned", "static"];
const ACCESS: readonly MrAccess[] = ["local-write", "remote-write", "remote-read", "remote-atomic", "relaxed-ordering"];
const ALL: readonly MrAccess[] = ["local-write", "remote-write", "remote-read"];

/**
 * The checks of uverbs, and those of `ib_umem_dmabuf_get()`, in their order.
 * @param emptyAt where nothing at all is refused
 * @throws DmaBufError `EINVAL`: the message says which, and what to give instead
 */
export function checked(given: RegMr, functions: number, emptyAt: "map" | "mmap" = "map"): CheckedMr {
  checkObject("the request", given, "ib_reg_user_mr_dmabuf");
  checkObject("buf", given.buf, "ib_reg_user_mr_dmabuf");
  const { offset, sizeBytes, iova = offset, access = ALL, dmaDevice = 0, prefetch = true, kind, buf } = given;
  const no = (message: string): never => {
    throw refusal("EINVAL", "ib_reg_user_mr_dmabuf", message, { offset, sizeBytes, iova, kind, access, dmaDevice });
  };
  if (!KINDS.includes(kind)) no(`no kind of memory region is called ${kind}: give ${KINDS.join(", ")}`);
  for (const [name, value] of Object.entries({ offset, sizeBytes, iova }))
    if (!Number.isSafeInteger(value) || value < 0) no(`${name} ${value}: give whole bytes from 0`);
  if (offset % PAGE_SIZE !== iova % PAGE_SIZE)
    no(`iova ${iova} and offset ${offset} lie at different places of a page: give an iova with the offset's`);
  if (!Array.isArray(access)) no(`access ${String(access)}: give a list of ${ACCESS.join(", ")}`);
  const wrong = access.find((flag) => !ACCESS.includes(flag));
  if (wrong !== undefined) no(`no access flag is called ${wrong}: give ${ACCESS.join(", ")}`);
  const writes = access.includes("remote-write") || access.includes("remote-atomic");
  if (writes && !access.includes("local-write")) no("remote writes without local-write: ask for both");
  if (!Number.isSafeInteger(offset + sizeBytes) || !Number.isSafeInteger(iova + sizeBytes))
    no(`${sizeBytes} bytes from ${Math.max(offset, iova)} on wrap: end the region below 2^53`);
  if (buf.sizeBytes < offset + sizeBytes)
    no(`the buffer ends at ${buf.sizeBytes}, the region at ${offset + sizeBytes}: register what is there`);
  if (sizeBytes === 0 && emptyAt === "mmap")
    throw refusal("EINVAL", "mmap", "a mapping of no page: map at least one byte", { offset, sizeBytes }, "mmap");
  if (sizeBytes === 0) no("no page: register at least one byte");
  if (!(dmaDevice >= 0 && dmaDevice < functions && Number.isInteger(dmaDevice)))
    no(`the device has ${functions} function(s), and none is ${dmaDevice}: give an index into host.functions`);
  return { buf, kind, offset, sizeBytes, iova, access, dmaDevice, prefetch };
}
