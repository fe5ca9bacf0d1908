/** The kernel's suite has fixtures; this is ours: an iommufd, its caller's memory, and devices with a mock domain. */
import { type Device, DmaBufError, Framework, linux73, type Op, Scheduler } from "@dma-buf/core";
import { IOMMU_IOAS_MAP_FLAGS } from "../flags.js";
import { iommufdIoctl } from "../ioctl.js";
import { iommufdImporter } from "../linux-7.3.js";
import { decodeIommu, encodeIommu, IOMMU_IOCTL, type IommuArgument, type IommuIoctl } from "../uapi.js";
import type { Ioas } from "../ioas.js";
import { BUFFER, MOCK_APERTURE_START, MockHost } from "./mock-host.js";
import { ProcessMemory } from "./process-memory.js";

const { FIXED_IOVA, READABLE, WRITEABLE } = IOMMU_IOAS_MAP_FLAGS;

/** What an ioctl answered: its errno, and its argument as it is afterwards. */
export interface Answer<N extends IommuIoctl> {
  readonly code: string;
  readonly out: IommuArgument<N>;
}

/** How many devices are attached before the test begins. */
export const VARIANTS = { no_domain: 0, mock_domain: 1, two_mock_domain: 2 } as const;

export class Fixture {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly host: MockHost = new MockHost();
  readonly iommufd: ReturnType<ReturnType<typeof iommufdImporter>>;
  readonly user: ProcessMemory = new ProcessMemory();
  /** Of the first IOAS. */
  ioasId = 0;
  /** Of the devices that are attached. */
  readonly deviceIds: number[] = [];
  /** Where to map: in the aperture, if there is one. */
  readonly base: bigint;
  #names = 0;

  constructor(mockDomains: number | null = null, scheduler: Scheduler = new Scheduler()) {
    this.scheduler = scheduler;
    this.fw = new Framework({ contract: linux73, scheduler });
    this.iommufd = iommufdImporter()(this.fw, this.host);
    this.base = mockDomains ? MOCK_APERTURE_START : 0n;
    if (mockDomains === null) return;
    this.ioasId = this.ioasAlloc();
    for (let i = 0; i < mockDomains; i++) this.deviceIds.push(this.mockDomain(this.ioasId));
  }

  run<T>(op: Op<T>): T {
    return this.scheduler.complete("user", op);
  }

  /** With these bytes. @throws DmaBufError */
  raw(nr: number, arg: Uint8Array | null, context: { readonly isPrivileged?: boolean } = {}): number {
    return this.run(iommufdIoctl({ iommufd: this.iommufd, user: this.user, ...context }, nr, arg));
  }

  ioctl<N extends IommuIoctl>(
    name: N,
    values: Partial<IommuArgument<N>>,
    context: { readonly isPrivileged?: boolean } = {},
  ): Answer<N> {
    const arg = encodeIommu(name, values);
    let code = "ok";
    try {
      this.raw(IOMMU_IOCTL[name], arg, context);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      code = error.code;
    }
    return { code, out: decodeIommu(name, arg) };
  }

  ioasAlloc(): number {
    return this.ioctl("IOAS_ALLOC", {}).out.outIoasId;
  }

  /** The first IOAS. */
  ioas(): Ioas {
    return this.iommufd.objects.get<Ioas>(this.ioasId, "ioas", "test");
  }

  /** A device, attached. @returns its id @throws DmaBufError */
  mockDomain(ptId: number): number {
    const device = { name: `mock${this.#names++}` } as Device;
    const bound = this.iommufd.bind(device);
    const id = this.iommufd.objects.idOf(bound);
    try {
      this.run(bound.attach(this.iommufd.objects.get<Ioas>(ptId, "ioas", "attach")));
    } catch (error) {
      this.run(this.iommufd.unbind(bound));
      throw error;
    }
    return id;
  }

  mapFixed(iova: bigint, length: bigint, userVa: bigint = BUFFER): string {
    const flags = FIXED_IOVA | READABLE | WRITEABLE;
    return this.ioctl("IOAS_MAP", { ioasId: this.ioasId, flags, userVa, length, iova }).code;
  }

  /** Where the kernel chooses. */
  map(length: bigint, userVa: bigint = BUFFER): { readonly code: string; readonly iova: bigint } {
    const { code, out } = this.ioctl("IOAS_MAP", { ioasId: this.ioasId, flags: READABLE | WRITEABLE, userVa, length });
    return { code, iova: out.iova };
  }

  unmap(
    iova: bigint,
    length: bigint,
    ioasId: number = this.ioasId,
  ): { readonly code: string; readonly length: bigint } {
    const { code, out } = this.ioctl("IOAS_UNMAP", { ioasId, iova, length });
    return { code, length: out.length };
  }

  copy(values: Partial<IommuArgument<"IOAS_COPY">>): string {
    const flags = FIXED_IOVA | READABLE | WRITEABLE;
    return this.ioctl("IOAS_COPY", { dstIoasId: this.ioasId, srcIoasId: this.ioasId, flags, ...values }).code;
  }

  /** All that can be seen: areas, ranges, alignment, ids, what the tables lead to, what is pinned. */
  snapshot(): unknown {
    const ioases = this.iommufd.objects.ofKind<Ioas>("ioas");
    return {
      objects: this.iommufd.objects.size,
      spaces: ioases.map(({ space }) => [
        space.areas.map((a) => [a.iova, a.last, a.isReady, a.accesses, a.pages?.refs]),
        space.ranges(),
        space.alignment,
      ]),
      tables: this.host.domains.filter((domain) => !domain.isDestroyed).map(({ pages }) => new Map(pages)),
      attached: new Map(this.host.attached),
      pinned: this.host.pinned,
    };
  }

  close(): void {
    this.run(this.iommufd.close());
  }
}
