/** The CPU's side: pages are synced through a mapping for `/dev/udmabuf`, made when the CPU first looks; the kernel's own mapping. */
import { type Direction, type DmaBuf, type DmaBufOps, DmaBufError, type Op, point } from "@dma-buf/core";
import type { PhysVecTable } from "@dma-buf/scatterlist";
import type { Backing } from "./backing.js";
import { tableFor } from "./mapped.js";
import { refuse } from "./refuse.js";

/** Between begin and end of CPU access, for one buffer. Devices that attached are not synced: the driver does not know them. */
export class CpuAccess {
  readonly #backing: Backing;
  /** Has anybody begun? The mapping may be gone since. */
  #isBegun = false;
  #table: PhysVecTable | null = null;

  constructor(backing: Backing) {
    this.#backing = backing;
    backing.beforeMove = () => this.drop();
  }

  get ops(): Required<Pick<DmaBufOps, "beginCpuAccess" | "endCpuAccess">> {
    return {
      beginCpuAccess: (buf, direction) => this.#begin(buf, direction),
      endCpuAccess: (buf) => this.#end(buf),
    };
  }

  /** Gives the mapping back; the next to begin makes it anew. */
  *drop(): Op<void> {
    const table = this.#table;
    this.#table = null;
    if (table) yield* table.free();
  }

  *#begin(buf: DmaBuf, direction: Direction): Op<void> {
    const { dma } = this.#backing.world.host.misc;
    using _held = yield* this.#lock(buf);
    const { runs } = yield* this.#mapped(direction);
    this.#isBegun = true;
    for (const run of runs) if (run.kind === "dma") dma.syncForCpu(run.address, run.sizeBytes);
  }

  *#end(buf: DmaBuf): Op<void> {
    const { dma } = this.#backing.world.host.misc;
    using _held = yield* this.#lock(buf);
    if (!this.#isBegun) refuse("EINVAL", "cpu-access", "end before any begin: call begin_cpu_access first");
    // After a move there is no mapping, and nothing to sync: a new one begins with the bytes as they are.
    for (const run of this.#table?.runs ?? []) if (run.kind === "dma") dma.syncForDevice(run.address, run.sizeBytes);
  }

  /** Two that begin at once must not both make the mapping. The code as merged takes no lock. */
  *#lock(buf: DmaBuf): Op<Disposable | null> {
    return this.#backing.world.asPosted ? null : yield* buf.resv.lock();
  }

  *#mapped(direction: Direction): Op<PhysVecTable> {
    if (this.#table) return this.#table;
    yield* point("udmabuf.get_sg_table");
    const { fw, host } = this.#backing.world;
    const mine = yield* tableFor(this.#backing, host.misc, direction, { bounces: true });
    const faster = this.#table;
    if (faster && !fw.defect("begin-race", "udmabuf maps for /dev/udmabuf twice", "exporter")) {
      yield* mine.free();
      return faster;
    }
    this.#table = mine;
    return mine;
  }
}

/** The kernel's mapping, which keeps the pages where they are. As merged, it says `EINVAL` where there is no memory. */
export function vmapped(backing: Backing): Required<Pick<DmaBufOps, "vmap" | "vunmap">> {
  const { world } = backing;
  return {
    vmap() {
      try {
        world.alloc("vm_map_ram", "cpu-access");
        const address = world.host.vmap(backing.ranges());
        backing.pin();
        return { address, isIomem: false };
      } catch (error) {
        if (!(error instanceof DmaBufError) || !world.asPosted) throw error;
        return refuse("EINVAL", "cpu-access", `the kernel cannot map it: ${error.message}`);
      }
    },
    vunmap(_buf, { address }) {
      backing.unpin();
      world.host.vunmap(address);
    },
  };
}
