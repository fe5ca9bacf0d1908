/**
 * All of `@dma-buf/pci`, and what needs Node: archives and directories.
 *
 * @packageDocumentation
 */
import type { Capture } from "./capture/capture.js";
import { archiveTree, isArchive } from "./capture/archive.js";
import { parseCapture as parseText } from "./capture/parse.js";
import { captureTree } from "./capture/sysfs.js";

export * from "./index.js";
export { type ArchiveLimits, archiveTree } from "./capture/archive.js";
export { directoryTree } from "./capture/directory.js";

/**
 * Reads lspci's text, `dma-buf capture`'s JSON, or a tar, tar.gz or tar.bz2 of a host's sysfs.
 * @throws CaptureError for what is no capture, or cannot be of one host
 */
export function parseCapture(bytes: Uint8Array | string, source: string): Capture {
  if (typeof bytes === "string" || !isArchive(bytes)) return parseText(bytes, source);
  return captureTree(archiveTree(bytes, source), source);
}
