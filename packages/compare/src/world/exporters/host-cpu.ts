/** A CPU of the host that comes to a BAR: by a mapping of the kernel, or by one that the VMM made. */
import { type AccessResult, addr, type Op, PAGE_SIZE, type PhysAddr, perform, type Vma } from "@dma-buf/core";
import { Cpu, type CpuAccess, type Machine } from "@dma-buf/machine";
import type { PhysRange } from "../content.js";

/** Where the VMM's process and the kernel have the BAR mapped. */
const USER_VA = 0x7000_0000_0000;
const KERNEL_VA = 0x6000_0000_0000;

export class HostCpu {
  readonly #machine: Machine;
  readonly #bar: PhysRange;
  readonly #cache: "uc" | "wb";
  readonly #mapped = new Set<number>();
  #cpu: Cpu | null = null;

  /** @param cache how the kernel maps it: as the memory wants */
  constructor(machine: Machine, bar: PhysRange, cache: "uc" | "wb") {
    this.#machine = machine;
    this.#bar = bar;
    this.#cache = cache;
  }

  *write(offset: number, bytes: Uint8Array): Op<AccessResult> {
    return settled(yield* this.#kernelAt(offset).write(KERNEL_VA + offset, bytes));
  }

  *read(offset: number, sizeBytes: number): Op<AccessResult> {
    return settled(yield* this.#kernelAt(offset).read(KERNEL_VA + offset, sizeBytes));
  }

  /** `mmap()` of the region's first page, and a load of 4 bytes. @throws DmaBufError what `mmap` refuses with */
  *mapAndRead(mmap: (vma: Vma) => void): Op<AccessResult> {
    const vma: Vma = { pgoff: 0, pages: 1, buf: null, fault: null };
    mmap(vma);
    if (!vma.fault) throw new TypeError("the exporter's mmap() left the mapping without a handler");
    const { pfn } = yield* perform(vma.fault(0));
    this.#own.map(USER_VA, addr<PhysAddr>(pfn * PAGE_SIZE), PAGE_SIZE, { cache: vma.cache ?? "uc" });
    return settled(yield* this.#own.read(USER_VA, 4));
  }

  close(): void {
    this.#cpu?.destroy();
    this.#cpu = null;
  }

  get #own(): Cpu {
    return (this.#cpu ??= new Cpu(this.#machine, "CPU 0"));
  }

  /** A page is mapped when it is touched first. */
  #kernelAt(offset: number): Cpu {
    const page = offset - (offset % PAGE_SIZE);
    if (!this.#mapped.has(page))
      this.#own.map(KERNEL_VA + page, addr<PhysAddr>(this.#bar.base + page), PAGE_SIZE, { cache: this.#cache });
    this.#mapped.add(page);
    return this.#own;
  }
}

function settled(end: CpuAccess): AccessResult {
  return end.kind === "page-fault" ? { kind: "fault", by: "a page fault", reason: end.reason } : end;
}
