/** The ioctls of `/dev/udmabuf`, decoded from a process's memory. Linux: `include/uapi/linux/udmabuf.h`. */
import { refuse } from "./refuse.js";

/**
 * The commands of `/dev/udmabuf`.
 * @example
 * UDMABUF_IOCTL.CREATE.toString(16); // "40187542"
 */
export const UDMABUF_IOCTL = { CREATE: 0x4018_7542, CREATE_LIST: 0x4008_7543 } as const;

/**
 * The one flag that is looked at; other bits are ignored.
 * @example
 * UDMABUF_FLAGS_CLOEXEC; // 1
 */
export const UDMABUF_FLAGS_CLOEXEC = 1;

/** A part of a memory file as userspace names it: any 64 bits. Linux: `struct udmabuf_create_item`. */
export interface RawItem {
  readonly memfd: number;
  readonly offset: bigint;
  readonly size: bigint;
}

/** What an ioctl asks for. */
export interface RawRequest {
  readonly flags: number;
  readonly items: readonly RawItem[];
}

const ITEM_BYTES = 24;
const LIST_HEAD_BYTES = 8;

/**
 * Reads the argument of `command`.
 * @param user what lies at the pointer, as far as it can be read; `null`: nothing can
 * @param allocList the copy of a list is an allocation, and may fail
 * @throws DmaBufError `ENOTTY` no such command · `EFAULT` cannot be read · `EINVAL` a list of more than `listLimit`
 */
export function decode(command: number, user: Uint8Array | null, listLimit: number, allocList: () => void): RawRequest {
  const memory = user ?? new Uint8Array(0);
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  const need = (sizeBytes: number): void => {
    if (memory.length < sizeBytes)
      refuse("EFAULT", "export", `${sizeBytes} bytes cannot be read, ${memory.length} can: give a valid pointer`);
  };
  if (command === UDMABUF_IOCTL.CREATE) {
    need(ITEM_BYTES);
    // The flags stand where a list's items have padding.
    return { flags: view.getUint32(4, true), items: [itemAt(view, 0)] };
  }
  if (command !== UDMABUF_IOCTL.CREATE_LIST)
    return refuse("ENOTTY", "export", `command ${command} is none of /dev/udmabuf: CREATE or CREATE_LIST`);
  need(LIST_HEAD_BYTES);
  const count = view.getUint32(4, true);
  if (count > listLimit)
    refuse("EINVAL", "export", `a list of ${count}: give at most ${listLimit} items`, { count, listLimit });
  allocList();
  need(LIST_HEAD_BYTES + count * ITEM_BYTES);
  const items = Array.from({ length: count }, (_, i) => itemAt(view, LIST_HEAD_BYTES + i * ITEM_BYTES));
  return { flags: view.getUint32(0, true), items };
}

function itemAt(view: DataView, at: number): RawItem {
  return {
    memfd: view.getUint32(at, true),
    offset: view.getBigUint64(at + 8, true),
    size: view.getBigUint64(at + 16, true),
  };
}
