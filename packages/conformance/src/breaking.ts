/** Exporters for the kit's own tests: the reference in parts, each of which a test can break. */
import {
  addr,
  type Contract,
  type DmaAddr,
  type DmaBuf,
  type DmaBufAttachment,
  DmaBufError,
  type DmaBufOps,
  type ErrnoName,
  type Framework,
  type Op,
  type PhysAddr,
  type Run,
  type SgTable,
  Usage,
} from "@dma-buf/core";
import type { RecordingHost } from "./recording-host.js";
import { referenceExporter, type ReferenceExporter } from "./reference-exporter.js";
import type { ExporterSubject, ExporterUnderTest } from "./subject.js";
import { exporterOf } from "./testing.js";

/** The world of one exporter, and the parts of one that can be put together again. */
export interface Made {
  readonly fw: Framework;
  readonly host: RecordingHost;
  reference: ReferenceExporter;
  readonly buf: DmaBuf;
  /** Says that it is revoked, to the callbacks of `ops`. */
  readonly revoked: () => void;
  readonly ops: Partial<DmaBufOps>;
}

type Change = (made: Made) => { ops?: Partial<DmaBufOps>; under?: Partial<ExporterUnderTest> };

/** The reference exporter with callbacks and calls replaced. */
export function broken(contract: Contract, change: Change, more: Partial<ExporterSubject> = {}): ExporterSubject {
  return exporterOf(contract, undefined, {
    create(fw, host) {
      let gone = false;
      const made: Made = {
        fw,
        host,
        reference: null as never,
        get buf() {
          return made.reference.buf;
        },
        revoked() {
          if (made.buf.attachments.some((at) => at.pins > 0 && !at.importer?.invalidateMappings)) refuse("EBUSY");
          gone = true;
        },
        ops: { mapDmaBuf: (at) => (gone ? refuse("ENODEV") : runsOf(made, at, 1)) },
      };
      const { ops = {}, under = {} } = change(made);
      const reference = (made.reference = referenceExporter(fw, ops));
      return {
        export: () => reference.buf,
        revoke: () => reference.revoke(),
        *restore() {
          gone = false;
          reference.restore();
        },
        move: () => reference.move(),
        ...under,
      };
    },
    ...more,
  });
}

/** As many runs, one mapping after the other, and nothing undone where one fails. */
export function runsOf({ reference }: Made, at: DmaBufAttachment, count: number): SgTable {
  if (reference.revoked) refuse("ENODEV");
  const sizeBytes = reference.buf.sizeBytes / count;
  const map = (offset: number): Run => {
    const physical = addr<PhysAddr>(reference.physical + offset);
    const address = at.device?.dma.mapPhys(physical, sizeBytes, "bidirectional", { mmio: true }) as DmaAddr;
    return { kind: "dma", offset, sizeBytes, address };
  };
  return { runs: Array.from({ length: count }, (_, i) => map(i * sizeBytes)) };
}

/** A call under the reservation that invalidates, and then does `after`. */
export function telling(
  made: Made,
  before: () => void,
  after: (held: Parameters<Framework["drain"]>[1]) => Op<void>,
): () => Op<void> {
  return function* () {
    const { fw, buf } = made;
    if (buf.refs === 0) return;
    fw.get(buf);
    try {
      using held = yield* buf.resv.lock();
      before();
      yield* fw.invalidate(buf, held);
      yield* after(held);
    } finally {
      yield* fw.put(buf);
    }
  };
}

export function* nothing(): Op<void> {}
export const refuse = (code: ErrnoName): never => {
  throw new DmaBufError(code, { op: "x", stage: "map", message: "no" });
};
/** Frames that can be revoked and moved, without pins: what the calls of `telling` change. */
const only = ["get_pfn", "revoke", "move"] as const;

/** An exporter of page frames with a state of its own. */
export function frames(
  contract: Contract,
  calls: (s: { at: number; gone: boolean; made: Made }) => Partial<ExporterUnderTest>,
): ExporterSubject {
  return broken(
    contract,
    (made) => {
      const s = { at: 0x100, gone: false, made };
      return {
        ops: {
          mapDmaBuf: undefined,
          unmapDmaBuf: undefined,
          pin: undefined,
          unpin: undefined,
          mmap: undefined,
          getPfn(_at: unknown, pgoff: number) {
            if (s.gone) throw new DmaBufError("ENODEV", { op: "x", stage: "query", message: "revoked" });
            if (![0, 1, 2, 3].includes(pgoff))
              throw new DmaBufError("EINVAL", { op: "x", stage: "query", message: "beyond" });
            return { pfn: addr(s.at + pgoff), maxOrder: 0 };
          },
        } as never,
        under: {
          *restore() {
            s.gone = false;
          },
          revoke: telling(
            made,
            () => void (s.gone = true),
            (held) => made.fw.drain(made.buf, held),
          ),
          *move(): Op<void> {
            yield* telling(
              made,
              () => void (s.at += 4),
              function* () {
                yield* made.buf.resv.waitTimeout(Usage.BOOKKEEP);
              },
            )();
          },
          ...calls(s),
        },
      };
    },
    { capabilities: only },
  );
}
