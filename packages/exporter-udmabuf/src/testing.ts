/** A host that is numbers only, for tests that need thousands of worlds: one sealed memory file, without bytes. */
import {
  addr,
  type AccessResult,
  DmaBufError,
  type DmaAddr,
  type ErrnoName,
  type Op,
  PAGE_SIZE,
  type PhysAddr,
  type Stage,
  until,
} from "@dma-buf/core";
import type { FolioRange, PageFollower, UdmabufHost, UdmabufMemfd, UdmabufMiscDevice } from "./host.js";

const PAGES = 4;
const F_SEAL_SHRINK = 2;

/** Who is told what became of the memory. The kit's `RecordingHost` is one. */
export interface Witness {
  /** Somebody else may have it now. */
  freed(physical: PhysAddr, sizeBytes: number): void;
}

/** The file is fd {@link PaperHost.FD}; each page that moves gets a frame that nobody had, and none is used again. */
export class PaperHost implements UdmabufHost {
  static readonly FD = 3;
  readonly #witness: Witness;
  readonly #frames: number[];
  readonly #followers = new Set<PageFollower>();
  #nextFrame: number;
  #moving = false;
  /** Pins and kernel mappings that are out. */
  out = 0;

  /** @param order log2 of the pages that lie in a row */
  constructor(witness: Witness, order = 0) {
    this.#witness = witness;
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
    try {
      for (let tries = 0; tries < 10; tries++) if (yield* this.#moved(pgoff)) return;
      throw refused("EAGAIN", "migrate_pages", "somebody asks again each time: try later");
    } finally {
      this.#moving = false;
    }
  }

  *#moved(pgoff: number): Op<boolean> {
    for (const follower of this.#followers) yield* follower.leave();
    const held = Array.from(this.#followers, (follower) => follower.hold());
    const isLeft = !held.includes(null);
    if (isLeft) this.#replace(pgoff);
    for (const one of held) one?.[Symbol.dispose]();
    return isLeft;
  }

  #replace(pgoff: number): void {
    const [old] = this.#ranges(pgoff * PAGE_SIZE, PAGE_SIZE) as [FolioRange];
    this.#frames[pgoff] = this.#nextFrame;
    this.#nextFrame += 2;
    this.#witness.freed(old.physical, old.sizeBytes);
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
    follow: (_offset, _sizeBytes, follower) => {
      this.#followers.add(follower);
      return { [Symbol.dispose]: () => void this.#followers.delete(follower) };
    },
  };

  #ranges(offset: number, sizeBytes: number): readonly FolioRange[] {
    const pages = this.#frames.slice(offset / PAGE_SIZE, (offset + sizeBytes) / PAGE_SIZE);
    if (pages.length * PAGE_SIZE !== sizeBytes)
      throw refused("EINVAL", "memfd_pin_folios", "beyond the end: ask below", "export");
    return pages.map((frame) => ({ physical: addr<PhysAddr>(frame * PAGE_SIZE), sizeBytes: PAGE_SIZE }));
  }
}

function refused(code: ErrnoName, op: string, message: string, stage: Stage = "pin"): DmaBufError {
  return new DmaBufError(code, { op, stage, message });
}

// oxlint-disable-next-line require-yield -- an Op that never sleeps
function* nothing(): Op<AccessResult> {
  return { kind: "lost", reason: "a misc device does no DMA" };
}
