/** A host that is numbers only, for thousands of worlds: domains of single pages with an IOTLB each, and one buffer. */
import {
  addr,
  type Contract,
  contracts,
  type DmaBuf,
  DmaBufError,
  type DmaBufOps,
  Framework,
  type Op,
  type Pfn,
  type PhysAddr,
  physOf,
  point,
  type Scheduler,
  type Stage,
} from "@dma-buf/core";
import type { IommufdDomain, IommufdHost } from "../host.js";
import type { Ioas } from "../ioas.js";
import type { Iommufd } from "../iommufd.js";
import type { Pages } from "../pages.js";
import type { IommufdOptions } from "../world.js";
import { COLUMNS } from "./machine-world.js";

const PAGE = 4096;
export const IOVA = 0x10_0000n;
const FIRST_PFN = 0x100;
const USER_PAGE = addr<PhysAddr>(0x5000);

/** What a device's access met. */
export type Access = "fault" | "done" | "stale";

export class PaperDomain implements IommufdDomain {
  readonly name = "paper";
  readonly apertureFirst: bigint = 0n;
  readonly apertureLast: bigint = 2n ** 48n - 1n;
  readonly pageBytesMin: number = PAGE;
  readonly memory: IommufdDomain["memory"] = { freeTable() {} };
  readonly pages: Map<number, number> = new Map();
  readonly #tlb: Map<number, number> = new Map();
  readonly table: IommufdDomain["table"] = {
    map: (va, physical, sizeBytes) => {
      for (let at = 0; at < sizeBytes; at += PAGE) {
        if (this.pages.has(va + at)) throw new RangeError("mapped over what is mapped");
        this.pages.set(va + at, physical + at);
      }
    },
    unmap: (va, sizeBytes) => {
      for (let at = 0; at < sizeBytes; at += PAGE) this.pages.delete(va + at);
      return sizeBytes;
    },
  };
  isDestroyed = false;

  /** Where a device's request goes; what was walked once is remembered. */
  translate(va: number): number | null {
    const found = this.#tlb.get(va) ?? this.pages.get(va);
    if (found !== undefined) this.#tlb.set(va, found);
    return found ?? null;
  }

  *flush(): Op<void> {
    yield* point("iotlb.flush");
    this.#tlb.clear();
  }

  destroy(): void {
    if (this.isDestroyed) throw new RangeError("destroyed twice");
    if (this.pages.size > 0) throw new RangeError("destroyed with pages in it");
    this.isDestroyed = true;
  }
}

export interface PaperWorld {
  readonly fw: Framework;
  /** Of the process. */
  readonly pinned: { readonly pages: number };
  readonly iommufd: Iommufd;
  readonly ioas: Ioas;
  readonly buf: DmaBuf;
  readonly domains: PaperDomain[];
  /** One access to {@link IOVA}, by the domain that was made last: translated and arrived in one step. */
  access(iova?: bigint): Op<Access>;
  /** Takes the memory away; when it returns, somebody else has it. */
  revoke(): Op<void>;
  /** Puts it elsewhere; when it returns, somebody else has the old place. */
  move(): Op<void>;
  map(): Op<bigint>;
  /** Attached and not yet asked where it lies. */
  attached: Pages | null;
  /** The second half of MAP_FILE: of {@link attached}, which it takes over. */
  mapAttached(): Op<bigint>;
  /** The memory is there again. Tells nobody. */
  restore(): void;
}

export function paperWorld(id: string, scheduler: Scheduler, options: IommufdOptions = {}): PaperWorld {
  const { importer } = COLUMNS[id] as (typeof COLUMNS)[string];
  const pinned = { pages: 0 };
  const contract = contracts.find((c) => c.id === id) as Contract;
  const fw = new Framework({ contract, scheduler, trace: false });
  const domains: PaperDomain[] = [];
  const host: IommufdHost = {
    memory: { isRam: () => false, read: (_at, sizeBytes) => new Uint8Array(sizeBytes), write() {} },
    user: {
      pinUserPage() {
        pinned.pages++;
        return { ranges: [{ physical: USER_PAGE, sizeBytes: PAGE }], unpin: () => void pinned.pages-- };
      },
    },
    file: () => null,
    hasIsolatedMsi: () => true,
    createDomain() {
      const domain = new PaperDomain();
      domains.push(domain);
      return domain;
    },
    attach() {},
    detach() {},
    reservedIovas: () => [],
  };
  const iommufd = importer(options)(fw, host);
  const ioas = iommufd.createIoas();
  let [pfn, revoked] = [FIRST_PFN, false];
  /** Frames that are somebody else's now. */
  const lost = new Set<number>();
  const ops = exporterOps(contract, () => (revoked ? null : pfn));
  const buf = fw.export({ exporterName: "paper", ops, sizeBytes: PAGE, priv: ops });
  const map = { flags: 7, iova: IOVA, length: BigInt(PAGE), start: 0n };
  const invalidate = function* (change: () => void): Op<void> {
    using held = yield* buf.resv.lock();
    const old = pfn;
    change();
    yield* fw.invalidate(buf, held);
    lost.add(old);
  };
  return {
    fw,
    pinned,
    iommufd,
    ioas,
    buf,
    domains,
    *access(iova = IOVA) {
      const at = domains.at(-1)?.translate(Number(iova)) ?? null;
      if (at === null) return "fault";
      return lost.has(at / PAGE) ? "stale" : "done";
    },
    revoke: () => invalidate(() => (revoked = true)),
    move: () => invalidate(() => pfn++),
    map: () => ioas.mapFile({ ...map, file: buf }),
    restore() {
      revoked = false;
      lost.clear();
    },
    attached: null,
    mapAttached() {
      return ioas.mapPages(this.attached as Pages, map);
    },
  };
}

/** What the contract has of an exporter of one page at `where()`. */
export function exporterOps({ rows, policy }: Contract, where: () => number | null): DmaBufOps {
  const here = (stage: Stage): number => where() ?? refuse("ENODEV", stage);
  const attributes = { cache: "uc", snoop: false } as const;
  const run = (physical: PhysAddr) =>
    ({ kind: "cpu-physical", offset: 0, sizeBytes: PAGE, address: physical, attributes }) as const;
  const hook = (): object => ({ physical: physOf(addr<Pfn>(here("map"))), sizeBytes: PAGE });
  return {
    ...(rows.getPfn
      ? { getPfn: () => ({ pfn: addr<Pfn>(here("query")), maxOrder: 0 }) }
      : rows.mapDmaBuf && {
          mapDmaBuf: () => ({ runs: [run(physOf(addr<Pfn>(here("map"))))] }),
          unmapDmaBuf() {},
        }),
    ...(!rows.mapDmaBuf && {
      mmap: (_buf, vma) => void (vma.fault = () => ({ pfn: addr<Pfn>(here("mmap")), maxOrder: 0 })),
    }),
    // Only where an importer must have a device does one find it: the others ask in the open.
    ...(policy.device !== "optional" && { interfaces: new Map([[Symbol.for("vfio_pci_dma_buf_iommufd_map"), hook]]) }),
    release() {},
  };
}

function refuse(code: "ENODEV", stage: Stage): never {
  throw new DmaBufError(code, { op: "paper exporter", stage, message: "the memory is gone" });
}
