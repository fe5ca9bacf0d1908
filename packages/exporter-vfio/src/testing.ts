/** What the tests of this package share: a function without a machine, importers, and a kernel in one line. */
import { refusal } from "@dma-buf/config/refusal";
import {
  addr,
  type Contract,
  type Device,
  type DmaBuf,
  type DmaBufAttachment,
  type DmaBufAttachOps,
  type EnvOptions,
  Framework,
  type Held,
  linux73,
  type Op,
  type P2pVerdict,
  type PhysAddr,
  Scheduler,
  type SgTable,
} from "@dma-buf/core";
import { type ExporterSubject, RecordingHost } from "@dma-buf/conformance";
import { expect } from "vitest";
import type { VfioExporter } from "./exporter.js";
import type { VfioHost } from "./host.js";
import type { VfioFactory, VfioOptions } from "./variant.js";

export const PAGE = 4096;
/** Where BAR 0 begins. It has 16 pages; BAR 2 is an I/O BAR of 256 bytes, BAR 4 a memory BAR of 16 MiB. */
export const BAR: PhysAddr = addr<PhysAddr>(0x40_0000_0000);
export const BAR4: PhysAddr = addr<PhysAddr>(0x41_0000_0000);

/** A function that remembers what was done to it. */
export interface FakeHost extends VfioHost {
  memoryEnabled: boolean;
  powerState: VfioHost["powerState"];
  canReset: boolean;
  hasFlr: boolean;
  resets: number;
  /** What the next reset does, besides being counted. */
  onReset: () => Op<void>;
  verdict: Partial<P2pVerdict>;
  busOffsetBytes: number;
}

export function fakeHost(name = "0000:01:00.0"): FakeHost {
  const host: FakeHost = {
    name,
    memoryEnabled: true,
    powerState: "D0",
    canReset: true,
    hasFlr: true,
    resets: 0,
    *onReset() {},
    verdict: { mapType: "bus-address" },
    busOffsetBytes: 0,
    region(index) {
      if (index === 0) return { physical: BAR, sizeBytes: 16 * PAGE };
      if (index === 2) return { physical: addr(0xe000), sizeBytes: 256 };
      return index === 4 ? { physical: BAR4, sizeBytes: 2 ** 24 } : null;
    },
    provider: (index) =>
      index === 2
        ? null
        : {
            get busOffsetBytes() {
              return host.busOffsetBytes;
            },
            verdict: () => ({ mapType: "bus-address", distance: 4, reason: "no route", ...host.verdict }),
          },
    *writeMemoryEnabled(on) {
      host.memoryEnabled = on;
    },
    setPowerState: (to) => void (host.powerState = to),
    *reset() {
      host.resets++;
      yield* host.onReset();
    },
  };
  return host;
}

/** A dynamic importer with a device; what it holds of a buffer it gives back in its callback, if it is told to. */
export class TestImporter {
  readonly ops: DmaBufAttachOps;
  readonly name: string;
  readonly tables: SgTable[] = [];
  calls = 0;
  /** Runs in the callback, before it gives back. */
  onInvalidate: (at: DmaBufAttachment, held: Held) => Op<void> = function* () {};
  givesBack = true;
  readonly #fw: Framework;

  constructor(fw: Framework, name = "importer", ops: Partial<DmaBufAttachOps> = {}) {
    this.#fw = fw;
    this.name = name;
    this.ops = { allowPeer2peer: true, invalidateMappings: (at, held) => this.#invalidate(at, held), ...ops };
  }

  attach(buf: DmaBuf, device: Device | null): Op<DmaBufAttachment> {
    return this.#fw.dynamicAttach(buf, device, this);
  }

  *map(at: DmaBufAttachment): Op<SgTable> {
    const table = yield* this.#fw.mapAttachmentUnlocked(at, "bidirectional");
    this.tables.push(table);
    return table;
  }

  *unmap(at: DmaBufAttachment): Op<void> {
    for (const table of this.tables.splice(0)) yield* this.#fw.unmapAttachmentUnlocked(at, table, "bidirectional");
  }

  *#invalidate(at: DmaBufAttachment, held: Held): Op<void> {
    this.calls++;
    yield* this.onInvalidate(at, held);
    if (!this.givesBack) return;
    for (const table of this.tables.splice(0)) yield* this.#fw.unmapAttachment(at, table, "bidirectional", held);
  }
}

export interface Kit {
  readonly scheduler: Scheduler;
  readonly fw: Framework;
  readonly host: FakeHost;
  readonly exporter: VfioExporter;
  /** Whose device it is that imports. */
  readonly peer: RecordingHost;
  run<T>(op: Op<T>): T;
  /** `EINVAL@map`, or `ok`. Of what is refused nothing may be left. */
  answer(op: Op<unknown>): string;
  /** The same of what may leave something: a reset that fails has taken the memory away before. */
  outcome(op: Op<unknown>): string;
  /** Everything that is counted, by anybody. */
  counts(): object;
}

export interface KitOptions extends EnvOptions {
  readonly contract?: Contract;
  readonly options?: VfioOptions;
  readonly host?: FakeHost;
}

export function kit(
  factory: VfioFactory,
  { contract = linux73, options, host = fakeHost(), ...env }: KitOptions = {},
): Kit {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract, scheduler, ...env });
  const exporter = factory(options)(fw, host);
  const peer = new RecordingHost();
  const run = <T>(op: Op<T>): T => scheduler.complete("test", op);
  const outcome = (op: Op<unknown>): string => refusal(() => run(op));
  const counts = (): object => ({ ...fw.ledger, ...exporter.ledger, dma: peer.liveMappings });
  const answer = (op: Op<unknown>): string => {
    const before = counts();
    const told = outcome(op);
    if (told !== "ok") expect(counts()).toEqual(before);
    return told;
  };
  return { scheduler, fw, host, exporter, peer, run, answer, outcome, counts };
}

/** An exporter, for the kit: as posted, it is named so. */
export function subject(
  contract: Contract,
  capabilities: ExporterSubject["capabilities"],
  factory: VfioFactory,
  asPosted = false,
): ExporterSubject {
  return {
    kind: "exporter",
    name: asPosted ? "vfio-pci, as posted," : "vfio-pci",
    contract,
    capabilities,
    create(framework, host) {
      const region = { physical: addr<PhysAddr>(0x10_0000_0000), sizeBytes: 16 * PAGE };
      const under: VfioHost = { ...fakeHost(), region: () => region, provider: () => host.provider };
      const made = factory({ asPosted })(framework, under);
      return {
        export: () => made.export({ regionIndex: 0, ranges: [{ offset: 0, length: 16 * PAGE }] }),
        revoke: () => made.revoke(),
        restore: () => made.restore(),
        ledger: () => ({ ...made.ledger }),
      };
    },
  };
}
