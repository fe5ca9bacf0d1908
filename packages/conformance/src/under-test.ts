/** The exporter as its author gave it, with a watch on calls that the scheduler could not run. */
import { DmaBufError, isThenable } from "@dma-buf/core";
import type { Recorder } from "./recorder.js";
import type { ExporterSubject, ExporterUnderTest } from "./subject.js";
import type { RecordingHost } from "./recording-host.js";

const CALLS = { export: "export", revoke: "invalidate", restore: "invalidate", move: "invalidate" } as const;

/** Makes one. A call of it that returns a Promise is a breach at once. */
export function exporterUnderTest(subject: ExporterSubject, fw: Recorder, host: RecordingHost): ExporterUnderTest {
  const under = subject.create(fw, host);
  const watched: Record<string, unknown> = { ledger: under.ledger?.bind(under) };
  for (const [name, row] of Object.entries(CALLS)) {
    const call = under[name as keyof typeof CALLS] as (() => unknown) | undefined;
    if (call) watched[name] = () => synchronous(call.call(under));

    function synchronous(result: unknown): unknown {
      if (!isThenable(result)) return result;
      const message = `${name}() returned a Promise: return a generator`;
      fw.breach(row, message);
      throw new DmaBufError("EINVAL", { op: name, stage: "export", message });
    }
  }
  return watched as unknown as ExporterUnderTest;
}
