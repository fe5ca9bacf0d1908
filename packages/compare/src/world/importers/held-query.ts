/** A driver that holds the reservation of a buffer asks where it is. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type { MachineDevice } from "@dma-buf/machine";
import { NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";

/**
 * Whether the reservation must be the caller's, or is the call's own to take, the contract's window says. Who obeys asks as it
 * says; the posted one asks here all the same.
 * @throws NotApplicable who obeys does not ask so
 */
export function* queryHoldingReservation(
  { framework, column, cast }: Stage,
  device: MachineDevice,
  buf: DmaBuf,
): Op<void> {
  const ops = { allowPeer2peer: true, *invalidateMappings() {} };
  const at = yield* framework.dynamicAttach(buf, device, { name: device.name, ops });
  const window = yield* column.contract.open(framework, at, "bidirectional");
  try {
    if (window.resv === "free" && !cast.importerAsPosted)
      throw new NotApplicable("the query takes the reservation itself: who obeys does not ask with it held");
    using held = yield* buf.resv.lock();
    yield* window.runs(0, buf.sizeBytes, held);
    yield* window.drop(held);
  } finally {
    yield* window.close();
    yield* framework.detachAttachment(buf, at);
  }
}
