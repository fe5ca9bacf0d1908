/**
 * udmabuf as a dma-buf exporter: pages of memory files as one buffer. The variants are
 * `@dma-buf/exporter-udmabuf/dma-address`, `…/vma`, `…/pfn`, `…/pfn-locked`, `…/annotated-address` and `…/linux-7.3`.
 *
 * @packageDocumentation
 */
export type { UdmabufLedger } from "./backing.js";
export type { UdmabufExporter, UdmabufMergedOptions, UdmabufOptions } from "./engine.js";
export type {
  FolioRange,
  PageFollower,
  PinnedFolios,
  UdmabufHost,
  UdmabufMemfd,
  UdmabufMiscDevice,
  UdmabufOtherFile,
} from "./host.js";
export type { InstallFd } from "./install.js";
export type { UdmabufItem } from "./items.js";
export { UDMABUF_FLAGS_CLOEXEC, UDMABUF_IOCTL } from "./uapi.js";
