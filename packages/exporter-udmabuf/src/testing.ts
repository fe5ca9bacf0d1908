/** A host that is numbers only, for tests that need thousands of worlds: one sealed memory file, without bytes. */
import {
  addr,
  type AccessResult,
  DmaBufError,
  type DmaAddr,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  until,
} from "@dma-buf/core";
import type { FolioRange, UdmabufHost, UdmabufMemfd, UdmabufMiscDevice } from "./host.js";

const PAGES = 4;
const F_SEAL_SHRINK = 2;

/** The file is fd {@link PaperHost.FD}; each page that moves gets a frame that nobody had. */
export class PaperHost implements UdmabufHost {
  static readonly FD = 3;
  readonly #frames: number[];
  readonly #leave = new Set<(pgoff: number) => Op<Disposable>>();
  #nextFrame: number;
  #moving = false;
  /** Pins and kernel mappings that are out. */
  out = 0;

  /** @param order log2 of the pages that lie in a row */
  constructor(order = 0) {
    this.#frames = Array.from({ length: PAGES }, (_, i) => 0x1000 + (i >> order) * 2 ** (order + 1) + (i % 2 ** order));
    this.#nextFrame = 0x2000;
  }

  readonly misc: UdmabufMiscDevice = {
    name: "udmabuf",
    spaces: [],
    dma: {
      maskBits: 64,
      mapPhys: (physical) => addr<DmaAddr>(physical),
      unmapPhys() {},
      tryAllocIova: () => null,
      syncForCpu() {},
      syncForDevice() {},
    },
    write: nothing,
    read: nothing,
  };

  file(fd: number): UdmabufMemfd | null {
    return fd === PaperHost.FD ? this.#file : null;
  }

  vmap(): number {
    this.out++;
    return 0x1_0000;
  }

  vunmap(): void {
    this.out--;
  }

  /** The page goes elsewhere, when who follows it let go. */
  *move(pgoff: number): Op<void> {
    yield* until("paper.move", () => !this.#moving);
    this.#moving = true;
    const gone: Disposable[] = [];
    try {
      for (const leave of this.#leave) gone.push(yield* leave(pgoff));
      this.#frames[pgoff] = this.#nextFrame;
      this.#nextFrame += 2;
    } finally {
      this.#moving = false;
      for (const one of gone) one[Symbol.dispose]();
    }
  }

  readonly #file: UdmabufMemfd = {
    kind: "shmem",
    seals: F_SEAL_SHRINK,
    ranges: (offset, sizeBytes) => this.#ranges(offset, sizeBytes),
    pinFolios: (offset, sizeBytes) => {
      const ranges = this.#ranges(offset, sizeBytes);
      this.out++;
      return { ranges, unpin: () => void this.out-- };
    },
    follow: (_offset, _sizeBytes, leave) => {
      this.#leave.add(leave);
      return { [Symbol.dispose]: () => void this.#leave.delete(leave) };
    },
  };

  #ranges(offset: number, sizeBytes: number): readonly FolioRange[] {
    const pages = this.#frames.slice(offset / PAGE_SIZE, (offset + sizeBytes) / PAGE_SIZE);
    if (pages.length * PAGE_SIZE !== sizeBytes)
      throw new DmaBufError("EINVAL", {
        op: "memfd_pin_folios",
        stage: "export",
        message: "beyond the end: ask below",
      });
    return pages.map((frame) => ({ physical: addr<PhysAddr>(frame * PAGE_SIZE), sizeBytes: PAGE_SIZE }));
  }
}

// oxlint-disable-next-line require-yield -- an Op that never sleeps
function* nothing(): Op<AccessResult> {
  return { kind: "lost", reason: "a misc device does no DMA" };
}
