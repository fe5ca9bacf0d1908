/** Can that be an answer? What an importer that keeps the rules asks before it installs anything. */
import { type DmaBuf, DmaBufError, PAGE_SIZE, type Run } from "@dma-buf/core";

/** @throws DmaBufError `EINVAL` runs that do not cover the buffer from its first byte to its last page, one behind the other */
export function checkBelievable(buf: DmaBuf, runs: readonly Run[]): void {
  let next = 0;
  for (const { offset, sizeBytes, address } of runs) {
    const exact = [offset, sizeBytes, address].every((n) => Number.isSafeInteger(n) && n >= 0);
    if (!exact || offset !== next || sizeBytes === 0)
      refuse(buf, `${sizeBytes} bytes at ${offset}, address ${address}`);
    next = offset + sizeBytes;
  }
  if (next < buf.sizeBytes || next > Math.ceil(buf.sizeBytes / PAGE_SIZE) * PAGE_SIZE)
    refuse(buf, `runs that end at ${next}`);
}

function refuse({ exporterName, sizeBytes }: DmaBuf, what: string): never {
  const message = `${exporterName} says ${what}, of a buffer of ${sizeBytes} bytes: nothing of it may be used`;
  throw new DmaBufError("EINVAL", { op: "reference importer", stage: "map", message, values: { sizeBytes } });
}
