/** The checks of `udmabuf_create()`, in the kernel's order. Linux 7.3: drivers/dma-buf/udmabuf.c. */
import { PAGE_SIZE } from "@dma-buf/core";
import type { UdmabufHost, UdmabufMemfd } from "./host.js";
import { refuse } from "./refuse.js";
import type { RawItem } from "./uapi.js";

/** A part of a memory file. Linux: `struct udmabuf_create_item`. */
export interface UdmabufItem {
  /** The fd of a memory file with `F_SEAL_SHRINK`, and without `F_SEAL_WRITE` and `F_SEAL_FUTURE_WRITE`. */
  readonly memfd: number;
  /** Bytes from the beginning of the file, whole pages. */
  readonly offset: number;
  /** Bytes, whole pages. */
  readonly sizeBytes: number;
}

const F_SEAL_SHRINK = 2;
const F_SEAL_WRITE = 8;
const F_SEAL_FUTURE_WRITE = 0x10;

const PAGE = BigInt(PAGE_SIZE);
/** The kernel keeps a pointer to each page in one allocation, and none is of more than `INT_MAX` bytes. */
const POINTER_BYTES = 8n;
const INT_MAX = 2n ** 31n - 1n;

/**
 * What a caller in this language asks for, as userspace would ask for it.
 * @throws DmaBufError `EINVAL` no whole number of bytes, or a negative one
 */
export function rawItem({ memfd, offset, sizeBytes }: UdmabufItem): RawItem {
  const bytes = (name: string, value: number): bigint =>
    Number.isSafeInteger(value) && value >= 0
      ? BigInt(value)
      : refuse("EINVAL", "export", `${name} ${value} is no number of bytes: give whole pages`, { [name]: value });
  return { memfd, offset: bytes("offset", offset), size: bytes("size", sizeBytes) };
}

/**
 * Shape and sum of all items: the one place where the 64 bits of userspace become Numbers.
 * @throws DmaBufError `EINVAL` unaligned, together more than the limit, or together nothing · `ENOMEM` of 1 TiB or more
 */
export function checkItems(items: readonly RawItem[], limitBytes: number): readonly UdmabufItem[] {
  let total = 0n;
  for (const { offset, size } of items) {
    for (const [name, value] of Object.entries({ offset, size }))
      if (value % PAGE !== 0n)
        refuse("EINVAL", "export", `${name} ${value} is no multiple of the page of ${PAGE} bytes: align it`, {
          offset,
          size,
        });
    total += size;
    if (total > BigInt(limitBytes))
      refuse("EINVAL", "export", `${total} bytes are more than size_limit_mb allows, ${limitBytes}: ask for less`, {
        total,
      });
  }
  if (total === 0n) refuse("EINVAL", "export", "no bytes at all: name at least one page", { items: items.length });
  if ((total / PAGE) * POINTER_BYTES > INT_MAX)
    refuse("ENOMEM", "export", `${total} bytes are more pages than the kernel's array of them takes: ask for less`, {
      total,
    });
  // A size is exact, for the limit is. An offset beyond 2^53 may be rounded, and is beyond the end of every file all the same.
  return items.map(({ memfd, offset, size }) => ({ memfd, offset: Number(offset), sizeBytes: Number(size) }));
}

/**
 * The memory file behind an fd, if its seals are right: whoever holds the buffer writes to the pages, and they must stay.
 * @throws DmaBufError `EBADFD` not open, or no memory file · `EINVAL` the seals
 */
export function memfdOf(host: UdmabufHost, fd: number): UdmabufMemfd {
  const file = host.file(fd);
  if (!file || file.kind === "other")
    return refuse("EBADFD", "export", `fd ${fd} is ${file ? "no memory file" : "not open"}: give a memfd's`, { fd });
  const { seals } = file;
  if ((seals & F_SEAL_SHRINK) === 0)
    refuse("EINVAL", "export", `memfd ${fd} may shrink under the buffer: add F_SEAL_SHRINK`, { fd, seals });
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) !== 0)
    refuse("EINVAL", "export", `memfd ${fd} is sealed against writing: give one that is not`, { fd, seals });
  return file;
}
