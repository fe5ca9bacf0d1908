/** What the tests share: a kernel, a process, a buffer. */
import {
  type Contract,
  type DmaBuf,
  type DmaBufOps,
  DmaFence,
  Framework,
  linux73,
  type Op,
  type ResvGuard,
  Scheduler,
  type Usage,
} from "@dma-buf/core";
import { DmaBufFiles, type DmaBufFilesOptions } from "./files.js";

/** An exporter that does nothing wrong. */
export const plain: DmaBufOps = { mapDmaBuf: () => ({ runs: [] }), unmapDmaBuf() {}, release() {} };

export interface Kit {
  readonly framework: Framework;
  readonly scheduler: Scheduler;
  readonly files: DmaBufFiles;
  complete<T>(op: Op<T>): T;
  exported(ops?: DmaBufOps): DmaBuf;
  /** An unsignalled fence in the buffer's reservation. */
  busy(buf: DmaBuf, usage: Usage, enableSignaling?: () => boolean): DmaFence;
}

export function kit(options: DmaBufFilesOptions = {}, contract: Contract = linux73): Kit {
  const scheduler = new Scheduler();
  const framework = new Framework({ contract, scheduler });
  const { env } = framework;
  return {
    framework,
    scheduler,
    files: new DmaBufFiles(framework, options),
    complete: (op) => scheduler.complete("test", op),
    exported: (ops = plain) => framework.export({ exporterName: "x", ops, sizeBytes: 16384, priv: {} }),
    busy(buf, usage, enableSignaling = () => true) {
      const names = { driverName: () => "mock", timelineName: () => "mock", enableSignaling };
      const fence = new DmaFence(env, names, env.allocContexts(1), 1);
      using held = buf.resv.tryLock() as ResvGuard;
      buf.resv.reserveFences(held, 1);
      buf.resv.addFence(held, fence, usage);
      return fence;
    },
  };
}
