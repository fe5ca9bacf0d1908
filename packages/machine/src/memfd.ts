/** Memory files on the modelled machine, as one process has them: by fd. */
import { addr, PAGE_SIZE, type PhysAddr } from "@dma-buf/core";
import { Cpu } from "./cpu.js";
import type { Machine } from "./machine.js";
import { Memfd } from "./memfd-file.js";
import { type FolioRange, type MemfdParts, refused } from "./memfd-folios.js";
import { FramePool } from "./memfd-frames.js";
import { MiscDevice } from "./memfd-misc.js";
import { F_SEAL } from "./memfd-seals.js";
import type { RamRange } from "./physical.js";

/** Into RAM, bytes: behind the page tables and the bounce buffers. */
const FRAMES_AT = 0x3000_0000;
/** Where the kernel maps pages in a row. Each mapping has an address of its own, so no stale translation is ever used. */
const VMAP_AT = 0x1000_0000_0000;

/** Where pages come from. */
export interface MemfdsOptions {
  /** RAM that nothing else uses. @defaultValue all RAM from 768 MiB on */
  readonly ram?: RamRange;
}

/** How a file is made. */
export interface MemfdOptions {
  /** 4096, or a huge page: 2 MiB, 1 GiB. Linux: `MFD_HUGETLB`. @defaultValue 4096 */
  readonly pageBytes?: number;
  /** May seals be added? Linux: `MFD_ALLOW_SEALING`. @defaultValue true */
  readonly allowSealing?: boolean;
}

/** A file that is no memory file. */
export interface OtherFile {
  readonly kind: "other";
}

/**
 * @example
 * const memfds = new MachineMemfds(machine);
 * const fd = memfds.create(8192);
 * memfds.memfd(fd).write(0, new Uint8Array([1]));
 */
export class MachineMemfds {
  /** The device of `/dev/udmabuf`: through it pages are synced for the CPU. */
  readonly misc: MiscDevice;
  /** The kernel's own address space, in which {@link vmap} maps. */
  readonly kernel: Cpu;
  readonly #parts: MemfdParts;
  readonly #files = new Map<number, Memfd | OtherFile>();
  readonly #vmaps = new Map<number, number>();
  #nextVmap = VMAP_AT;

  constructor(machine: Machine, options: MemfdsOptions = {}) {
    const { memory, resources, cpuCache } = machine;
    this.misc = new MiscDevice("udmabuf", cpuCache);
    const [first] = memory.ram as [RamRange];
    const at = addr<PhysAddr>(first.base + FRAMES_AT);
    const { ram = { base: at, sizeBytes: first.sizeBytes - FRAMES_AT } } = options;
    this.#parts = { memory, frames: new FramePool(memory, ram), compacting: null, pins: 0 };
    this.kernel = new Cpu(machine, "kernel");
    resources.register("memfdFrames", () => this.#parts.frames.live);
    resources.register("memfdPins", () => this.#parts.pins);
    resources.register("kernelMappings", () => this.#vmaps.size);
    resources.register("dmaMappings", () => this.misc.dma.live);
  }

  /** A new file of zeros; its fd. Linux: `memfd_create()` and `ftruncate()`. @throws DmaBufError `EINVAL` sizes */
  create(sizeBytes: number, { pageBytes = PAGE_SIZE, allowSealing = true }: MemfdOptions = {}): number {
    if (pageBytes < PAGE_SIZE || !Number.isInteger(Math.log2(pageBytes)))
      throw refused("EINVAL", "memfd_create", `a page of ${pageBytes} bytes: give 4096, or a larger power of two`);
    const file = new Memfd(this.#parts, `memory file ${this.#freeFd()}`, pageBytes, allowSealing ? 0 : F_SEAL.SEAL);
    file.truncate(sizeBytes);
    return this.#install(file);
  }

  /** A file of another kind: an eventfd, a guest_memfd, a dma-buf. */
  openOther(): number {
    return this.#install({ kind: "other" });
  }

  /** What is open as `fd`; `null`: nothing is. */
  file(fd: number): Memfd | OtherFile | null {
    return this.#files.get(fd) ?? null;
  }

  /** The memory file behind `fd`. @throws DmaBufError `EBADF` it is not open, or another kind of file */
  memfd(fd: number): Memfd {
    const file = this.file(fd);
    if (file instanceof Memfd) return file;
    throw refused("EBADF", "fcntl", `fd ${fd} is no memory file: create one`);
  }

  /** close(2). Pages that are pinned or followed stay until that ends. */
  close(fd: number): void {
    const file = this.file(fd);
    this.#files.delete(fd);
    if (file instanceof Memfd) file.release();
  }

  /** Maps ranges one behind the other into the kernel; the first address. Linux: `vm_map_ram()`. @throws DmaBufError `ENOMEM` */
  vmap(ranges: readonly FolioRange[]): number {
    const address = this.#nextVmap;
    let end = address;
    try {
      for (const { physical, sizeBytes } of ranges) {
        this.kernel.map(end, physical, sizeBytes, { cache: "wb" });
        end += sizeBytes;
      }
    } catch (error) {
      if (end > address) this.kernel.unmap(address, end - address);
      throw error;
    }
    // A guard page lies behind each.
    this.#nextVmap = end + PAGE_SIZE;
    this.#vmaps.set(address, end - address);
    return address;
  }

  /** Takes {@link vmap} back. Linux: `vm_unmap_ram()`. @throws DmaBufError `EINVAL` nothing begins there */
  vunmap(address: number): void {
    const sizeBytes = this.#vmaps.get(address);
    if (sizeBytes === undefined) throw refused("EINVAL", "vm_unmap_ram", `nothing was mapped at ${address}`);
    this.#vmaps.delete(address);
    this.kernel.unmap(address, sizeBytes);
  }

  #install(file: Memfd | OtherFile): number {
    const fd = this.#freeFd();
    this.#files.set(fd, file);
    return fd;
  }

  #freeFd(): number {
    let fd = 3;
    while (this.#files.has(fd)) fd++;
    return fd;
  }
}
