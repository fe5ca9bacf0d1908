/** What an fd leads to becomes a backing: a dma-buf, which is attached, or a memory file. Linux: `iopt_map_file_pages()`. */
import { type DmaBuf, DmaBufError, type Op } from "@dma-buf/core";
import { IOMMU_IOAS_MAP_FLAGS } from "./flags.js";
import type { MemoryFile, OpenFile } from "./host.js";
import type { Pages } from "./pages.js";
import { FilePages } from "./pinned-pages.js";
import type { MapArguments } from "./validate.js";
import type { World } from "./world.js";

/** `IOMMU_IOAS_MAP_FILE`. */
export interface MapFile extends MapArguments {
  /** An fd of the process, or what is behind it. */
  readonly file: number | OpenFile;
  /** Offset in the file, bytes. */
  readonly start: bigint;
}

/** The caller has the reference. @throws DmaBufError `EBADF` at stage `map`: no such fd; of a dma-buf, as `attachBuffer()` */
export function* openFile(world: World, what: MapFile): Op<Pages> {
  const { host, importBuffer, fw } = world;
  const { file, start, length, flags } = what;
  const open = typeof file === "number" ? host.file(file) : file;
  if (!open)
    throw new DmaBufError("EBADF", {
      op: "IOMMU_IOAS_MAP_FILE",
      stage: "map",
      message: "the fd is not open: give one that is",
      values: { fd: file },
    });
  const isWritable = (flags & IOMMU_IOAS_MAP_FLAGS.WRITEABLE) !== 0;
  if (isBuffer(open)) return yield* importBuffer(world, { buf: open, start, length, isWritable });
  return new FilePages(fw.scheduler, isMemory(open) ? open : null, what, isWritable);
}

function isBuffer(file: OpenFile): file is DmaBuf {
  return "ops" in file;
}

function isMemory(file: OpenFile): file is MemoryFile {
  return "pinFolios" in file;
}
