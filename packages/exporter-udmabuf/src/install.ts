/** A buffer becomes an fd of whoever asked, or is gone. */
import { type DmaBuf, type Framework, isThenable, type MaySleep, type Op, perform } from "@dma-buf/core";
import { UDMABUF_FLAGS_CLOEXEC } from "./uapi.js";

/** Puts a buffer into the caller's file table. Linux: `dma_buf_fd()`. */
export type InstallFd = (buf: DmaBuf, flags: { readonly cloexec: boolean }) => MaySleep<number>;

/** @throws what `install` throws; TypeError when it returns a Promise. The buffer is put then. */
export function* installed(fw: Framework, buf: DmaBuf, flags: number, install: InstallFd): Op<number> {
  let done = false;
  try {
    const result = install(buf, { cloexec: (flags & UDMABUF_FLAGS_CLOEXEC) !== 0 });
    if (isThenable(result)) throw new TypeError("install returned a Promise: return a number or a generator");
    const fd = yield* perform(result);
    done = true;
    return fd;
  } finally {
    // Refused, or whoever asked is gone.
    if (!done) yield* fw.put(buf);
  }
}
