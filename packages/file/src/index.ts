/**
 * What userspace sees of a dma-buf: a file. Fds, lseek, poll and ioctl, over the framework of `@dma-buf/core`.
 *
 * @packageDocumentation
 */
export { FdTable, type File } from "./fd-table.js";
export { DmaBufFiles, type DmaBufFilesOptions, type IoctlHandler } from "./files.js";
export { DMA_BUF_IOCTL, DMA_BUF_SYNC } from "./ioctl.js";
export type { PollDirection } from "./poll.js";
