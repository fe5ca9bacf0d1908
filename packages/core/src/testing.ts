/** What the tests of this package share: a small kernel, exporters and importers that do nothing wrong. */
import { addr, type Pfn } from "./address.js";
import { type Contract, rowsOf } from "./contract.js";
import { syncRows } from "./contracts/sync.js";
import type { DmaBuf, DmaBufAttachment, DmaBufAttachOps, DmaBufExportInfo, DmaBufOps, SgTable } from "./dma-buf.js";
import { Env } from "./env.js";
import { DmaBufError } from "./error.js";
import { DmaFence } from "./fence.js";
import { Framework, type FrameworkOptions } from "./framework.js";
import type { Device } from "./host.js";
import type { Op } from "./op.js";
import type { DmaResv, ResvGuard } from "./resv.js";
import { Scheduler } from "./scheduler.js";

export const device = { name: "nic", spaces: [] } as unknown as Device;
export const table = (): SgTable => ({
  runs: [{ kind: "dma", offset: 0, sizeBytes: 4096, address: addr(0x1000) }],
  pages: [addr<Pfn>(1)],
});
/** A static exporter. */
export const maps: DmaBufOps = { mapDmaBuf: table, unmapDmaBuf() {}, release() {} };
/** A dynamic one: under 6.13, a static one would be mapped at attach for a dynamic importer. */
export const moves: DmaBufOps = { ...maps, pin() {}, unpin() {} };
/** One of the RFC. */
export const asks: DmaBufOps = {
  getPfn: (_at, pgoff) => ({ pfn: addr<Pfn>(0x100 + pgoff), maxOrder: 0 }),
  release() {},
};
export const importer: DmaBufAttachOps = { allowPeer2peer: true, invalidateMappings() {} };

/** A refusal, for an exporter's callback. */
export const refuse =
  (code: DmaBufError["code"], stage: DmaBufError["stage"] = "map") =>
  (): never => {
    throw new DmaBufError(code, { op: "exporter", stage, message: "told to" });
  };

/** What the kernel's mock fence is: names and nothing else. */
export const mock = { driverName: () => "mock", timelineName: () => "mock" };

export interface Kit {
  readonly fw: Framework;
  readonly env: Env;
  readonly scheduler: Scheduler;
  complete<T>(op: Op<T>): T;
  exported(ops?: DmaBufOps, info?: Partial<DmaBufExportInfo>): DmaBuf;
  attach(buf: DmaBuf, dev?: Device | null, ops?: DmaBufAttachOps | null): DmaBufAttachment;
  /** The reservation of `resv`, held by nobody's task. */
  hold(resv: DmaResv): ResvGuard;
  fence(context?: number, seqno?: number): DmaFence;
}

export function kit(contract: Contract, options: Partial<FrameworkOptions> = {}): Kit {
  const scheduler = new Scheduler();
  const fw = new Framework({ contract, scheduler, ...options });
  const { env } = fw;
  onlyListed(env, contract);
  const complete = <T>(op: Op<T>): T => scheduler.complete("test", op);
  return {
    fw,
    env,
    scheduler,
    complete,
    exported: (ops = moves, info = {}) => fw.export({ exporterName: "x", ops, sizeBytes: 16384, priv: {}, ...info }),
    attach: (buf, dev = device, ops = importer) => complete(fw.dynamicAttach(buf, dev, { name: "imp", ops })),
    hold: (resv) => resv.tryLock() as ResvGuard,
    fence: (context = env.allocContexts(1), seqno = 1) => new DmaFence(env, mock, context, seqno),
  };
}

/** The other direction of the tables: a refusal whose errno its row does not list fails the test. */
function onlyListed(env: Env, contract: Contract): void {
  const rows = [...rowsOf(contract).map(([, row]) => row), ...Object.values(syncRows)];
  const pass = env.error.bind(env);
  env.error = (code, rule, message, values) => {
    const listed = rows.find((row) => row.id === rule.id)?.errors;
    if (listed && !(code in listed)) throw new Error(`${rule.id} answers ${code}, which its row does not list`);
    return pass(code, rule, message, values);
  };
}
