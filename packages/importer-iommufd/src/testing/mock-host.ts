/**
 * A host with the domain that the kernel's own suite tests with: its aperture begins late, and its page is half of one of
 * the CPU's. Its table is a map of those; what is pinned is counted.
 */
import { addr, type Device, DmaBufError, type Op, type PhysAddr } from "@dma-buf/core";
import type { IommufdDomain, IommufdHost, OpenFile, Pinned } from "../host.js";

export const PAGE = 4096n;
export const MOCK_PAGE = 2048n;
export const MOCK_APERTURE_START: bigint = 16n * 2n ** 20n;
export const MOCK_APERTURE_LAST: bigint = 2n ** 31n - 1n;
/** Where the process has memory: 64 pages, aligned as a huge page is. */
export const BUFFER = 0x4000_0000n;
const BUFFER_PAGES = 64n;
/** Where the first page of it lies. */
const FRAMES = 0x1_0000_0000;

export class MockDomain implements IommufdDomain {
  readonly name: string;
  readonly memory: IommufdDomain["memory"] = { freeTable() {} };
  readonly apertureFirst: bigint = MOCK_APERTURE_START;
  readonly apertureLast: bigint = MOCK_APERTURE_LAST;
  readonly pageBytesMin: number = Number(MOCK_PAGE);
  /** By the number of a page of the domain, where it leads. */
  readonly pages: Map<number, number> = new Map();
  readonly table: IommufdDomain["table"];
  isDestroyed = false;

  constructor(name: string) {
    this.name = name;
    const each = (va: number, sizeBytes: number, visit: (page: number, at: number) => void): void => {
      for (let at = 0; at < sizeBytes; at += this.pageBytesMin) visit((va + at) / this.pageBytesMin, at);
    };
    this.table = {
      map: (va, physical, sizeBytes) => each(va, sizeBytes, (page, at) => this.pages.set(page, physical + at)),
      unmap: (va, sizeBytes) => {
        each(va, sizeBytes, (page) => this.pages.delete(page));
        return sizeBytes;
      },
    };
  }

  /** Where a byte of the device goes; null: a fault. */
  lookup(iova: bigint): number | null {
    const page = this.pages.get(Number(iova / MOCK_PAGE));
    return page === undefined ? null : page + Number(iova % MOCK_PAGE);
  }

  *flush(): Op<void> {}

  destroy(): void {
    if (this.pages.size > 0) throw new RangeError(`${this.name} is destroyed with ${this.pages.size} pages in it`);
    this.isDestroyed = true;
  }
}

export class MockHost implements IommufdHost {
  readonly domains: MockDomain[] = [];
  readonly attached: Map<Device, IommufdDomain> = new Map();
  /** What the process has open, by fd. */
  readonly files: Map<number, OpenFile> = new Map();
  /** Pages that are pinned now. */
  pinned = 0;
  readonly memory: IommufdHost["memory"] = {
    isRam: () => true,
    read: (_address, sizeBytes) => new Uint8Array(sizeBytes),
    write() {},
  };
  readonly user: IommufdHost["user"] = { pinUserPage: (address) => this.#pin(address) };

  /** Where a byte of {@link BUFFER} lies. */
  static frameOf(va: bigint): number {
    return FRAMES + Number(va - BUFFER);
  }

  file(fd: number): OpenFile | null {
    return this.files.get(fd) ?? null;
  }

  hasIsolatedMsi(): boolean {
    return true;
  }

  createDomain(): MockDomain {
    const domain = new MockDomain(`mock domain ${this.domains.length}`);
    this.domains.push(domain);
    return domain;
  }

  attach(device: Device, domain: IommufdDomain): void {
    this.attached.set(device, domain);
  }

  detach(device: Device): void {
    this.attached.delete(device);
  }

  reservedIovas(): [] {
    return [];
  }

  #pin(address: bigint): Pinned {
    if (address < BUFFER || address >= BUFFER + BUFFER_PAGES * PAGE)
      throw new DmaBufError("EFAULT", {
        op: "pin_user_pages",
        stage: "map",
        message: `nothing is mapped at 0x${address.toString(16)}: give memory of the process`,
      });
    this.pinned++;
    return {
      ranges: [{ physical: addr<PhysAddr>(MockHost.frameOf(address)), sizeBytes: Number(PAGE) }],
      unpin: () => void this.pinned--,
    };
  }
}
