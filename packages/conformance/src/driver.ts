/** A driver by the book, for the kit's own tests: what it does when it revokes and moves is a list of steps, to be put in the wrong order. */
import {
  addr,
  type Contract,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufOps,
  type Framework,
  type Op,
  perform,
  type PhysAddr,
  point,
  type ResvGuard,
  type Run,
  type SgTable,
  until,
  Usage,
} from "@dma-buf/core";
import { accepted } from "./accepted.js";
import { refuse } from "./breaking.js";
import type { RecordingHost } from "./recording-host.js";
import type { ExporterSubject } from "./subject.js";

export const SIZE_BYTES = 16384;
export const BOOK = {
  revoke: ["lock", "mark", "invalidate", "fences", "unlock", "unmaps", "free"],
  restore: ["alloc", "unmark"],
  move: ["lock", "invalidate", "fences", "copy", "unlock"],
} as const;

/** One driver with one buffer. */
export class Driver {
  readonly fw: Framework;
  readonly host: RecordingHost;
  readonly tables: SgTable[] = [];
  buf!: DmaBuf;
  physical: PhysAddr = addr<PhysAddr>(0x100000);
  gone = false;
  /** Its own count of maps. */
  maps = 0;
  /** What it does about the bytes of a move. */
  readonly copied: (driver: Driver) => void;
  #held: ResvGuard | null = null;

  constructor(fw: Framework, host: RecordingHost, copied: (driver: Driver) => void = () => {}) {
    this.fw = fw;
    this.host = host;
    this.copied = copied;
  }

  *do(steps: readonly (keyof typeof STEPS)[]): Op<void> {
    if (this.buf.refs === 0) return;
    this.fw.get(this.buf);
    try {
      for (const step of steps) yield* STEPS[step](this);
    } finally {
      this.unlock();
      yield* this.fw.put(this.buf);
    }
  }

  *lock(): Op<void> {
    this.#held = yield* this.buf.resv.lock();
  }

  unlock(): void {
    this.#held?.[Symbol.dispose]();
    this.#held = null;
  }

  get held(): ResvGuard {
    return this.#held as ResvGuard;
  }

  ops(): DmaBufOps {
    return {
      attach: (at) => void (at.importer?.invalidateMappings || refuse("EOPNOTSUPP")),
      mapDmaBuf: (at) => this.map(at),
      unmapDmaBuf: (at, table) => this.unmap(at, table),
      release() {},
    };
  }

  map(at: DmaBufAttachment, sizeBytes: number = SIZE_BYTES): SgTable {
    if (this.gone) refuse("ENODEV");
    const address = at.device?.dma.mapPhys(this.physical, sizeBytes, "bidirectional", { mmio: true }) as DmaAddr;
    const runs: Run[] = [{ kind: "dma", offset: 0, sizeBytes, address }];
    const table = { runs };
    this.tables.push(table);
    this.maps++;
    return table;
  }

  unmap(at: DmaBufAttachment, table: SgTable): void {
    for (const { address, sizeBytes } of table.runs) at.device?.dma.unmapPhys(address as DmaAddr, sizeBytes);
    this.tables.splice(this.tables.indexOf(table), 1);
    this.maps--;
  }
}

/** What a driver does when it takes memory away, in pieces. */
export const STEPS = {
  lock: (d: Driver): Op<void> => d.lock(),
  *unlock(d: Driver): Op<void> {
    d.unlock();
  },
  *mark(d: Driver): Op<void> {
    d.gone = true;
  },
  *unmark(d: Driver): Op<void> {
    d.gone = false;
  },
  invalidate: (d: Driver): Op<void> => d.fw.invalidate(d.buf, d.held),
  *invalidateNewest(d: Driver): Op<void> {
    const [at] = d.buf.attachments;
    if (at) yield* accepted(perform(at.importer?.invalidateMappings?.(at, d.held)));
  },
  *fences({ buf }: Driver): Op<void> {
    yield* buf.resv.waitTimeout(Usage.BOOKKEEP);
  },
  *kernelFences({ buf }: Driver): Op<void> {
    yield* buf.resv.waitTimeout(Usage.KERNEL);
  },
  *pause(): Op<void> {
    yield* point("driver.pause");
  },
  unmaps({ buf }: Driver): Op<void> {
    const mapped = (): string => buf.attachments.flatMap((a) => (a.liveMaps > 0 ? [a.importerName] : [])).join();
    return until("unmap", () => mapped() === "", mapped);
  },
  *copy(d: Driver): Op<void> {
    d.host.freed(d.physical, SIZE_BYTES);
    d.physical = addr<PhysAddr>(d.physical + SIZE_BYTES);
    d.copied(d);
    yield* point("driver.copy");
  },
  *free(d: Driver): Op<void> {
    d.host.freed(d.physical, SIZE_BYTES);
  },
  *alloc(d: Driver): Op<void> {
    d.host.allocated(d.physical, SIZE_BYTES);
  },
  /** Its own count, instead of the attachments'. */
  counted: (d: Driver): Op<void> =>
    until(
      "count",
      () => d.maps === 0,
      () => `unmap by ${d.buf.attachments.map((at) => at.importerName).join()}`,
    ),
  *freeTables(d: Driver): Op<void> {
    for (const { runs } of d.tables)
      for (const { address, sizeBytes } of runs) d.host.device.dma.unmapPhys(address as DmaAddr, sizeBytes);
  },
} as const;

type Steps = readonly (keyof typeof STEPS)[];

/** The driver as a subject, with what a test does differently. */
export function driverOf(
  contract: Contract,
  wrong: {
    readonly revoke?: Steps;
    readonly restore?: Steps;
    readonly move?: Steps;
    readonly copied?: (driver: Driver) => void;
    readonly ops?: (driver: Driver) => Partial<DmaBufOps>;
  } = {},
): ExporterSubject {
  return {
    kind: "exporter",
    name: "driver",
    contract,
    capabilities: ["map", "revoke", "move"],
    create(fw, host) {
      const driver = new Driver(fw, host, wrong.copied);
      return {
        export() {
          const ops = { ...driver.ops(), ...wrong.ops?.(driver) };
          driver.buf = fw.export({ exporterName: "driver", ops, sizeBytes: SIZE_BYTES, priv: driver });
          return driver.buf;
        },
        revoke: () => driver.do(wrong.revoke ?? BOOK.revoke),
        restore: () => driver.do(wrong.restore ?? BOOK.restore),
        move: () => driver.do(wrong.move ?? BOOK.move),
      };
    },
  };
}
