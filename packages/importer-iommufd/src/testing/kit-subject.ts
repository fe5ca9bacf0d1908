/** An IOAS with one page table, for the kit: its tables come from the kit's host, which counts them. */
import type { ImporterSubject, ImporterUnderTest, RecordingHost } from "@dma-buf/conformance";
import type { Contract, Framework, Op } from "@dma-buf/core";
import { createPageTable, type PageTable, vtdSecondStage } from "@dma-buf/page-table";
import type { IommufdDomain, IommufdHost } from "../host.js";
import type { Hwpt } from "../hwpt.js";
import type { Pages } from "../pages.js";
import type { IommufdFactory } from "../variant.js";
import type { IommufdOptions } from "../world.js";

const IOVA = 0x1_0000_0000n;

class KitDomain implements IommufdDomain {
  readonly name = "kit domain";
  readonly apertureFirst = 0n;
  readonly apertureLast: bigint = 2n ** 48n - 1n;
  readonly pageBytesMin = 4096;
  readonly memory: IommufdDomain["memory"];
  readonly table: PageTable;

  constructor({ tables }: RecordingHost) {
    this.memory = tables;
    this.table = createPageTable(vtdSecondStage, tables);
  }

  *flush(): Op<void> {}

  destroy(): void {
    this.table.destroy();
  }
}

function kitHost(host: RecordingHost): IommufdHost {
  return {
    memory: { isRam: () => false, read: (_at, sizeBytes) => new Uint8Array(sizeBytes), write() {} },
    user: {
      pinUserPage() {
        throw new RangeError("the kit has no process");
      },
    },
    file: () => null,
    hasIsolatedMsi: () => true,
    createDomain: () => new KitDomain(host),
    attach() {},
    detach() {},
    reservedIovas: () => [],
  };
}

function underTest(
  factory: IommufdFactory,
  options: IommufdOptions,
  fw: Framework,
  host: RecordingHost,
): ImporterUnderTest {
  const iommufd = factory(options)(fw, kitHost(host));
  const ioas = iommufd.createIoas();
  let hwpt: Hwpt | null = null;
  let pages: Pages | null = null;
  let length = 0n;
  const table = (): PageTable | undefined => (hwpt?.domain as KitDomain | undefined)?.table;
  const isMapped = (): boolean => ioas.space.areaCount > 0;
  const first = function* (attached: Pages): Op<void> {
    // Whatever becomes of it, the IOAS has the reference; attached still, it is tried again.
    attached.get();
    yield* ioas.mapPages(attached, { flags: 7, iova: IOVA, length, start: 0n });
    yield* attached.put();
    pages = null;
  };
  const leave = function* (): Op<void> {
    yield* ioas.unmap(0n, 2n ** 64n - 1n);
    if (pages) yield* pages.put();
    pages = null;
    if (hwpt) yield* hwpt.destroy();
    hwpt = null;
  };
  return {
    *attach(buf) {
      length = BigInt(buf.sizeBytes);
      try {
        hwpt = yield* ioas.allocHwpt(host.device);
        pages = yield* iommufd.attachBuffer(buf);
      } catch (error) {
        yield* leave();
        throw error;
      }
    },
    *use() {
      yield* pages ? first(pages) : ioas.revalidate();
    },
    holds: () => (isMapped() ? [...(table()?.leaves() ?? [])].length : 0),
    reaches(offset) {
      const at = table()?.lookup(Number(IOVA) + offset) ?? -1;
      return at < 0 ? null : at;
    },
    detach: leave,
  };
}

export function subject(
  contract: Contract,
  factory: IommufdFactory,
  more: Partial<ImporterSubject> = {},
  options: IommufdOptions = {},
): ImporterSubject {
  return {
    kind: "importer",
    name: "iommufd",
    contract,
    capabilities: ["invalidate", "peer2peer"],
    hasDevice: false,
    ...more,
    create: (fw, host) => underTest(factory, options, fw, host),
  };
}
