/** The fourth layer: the CPU's side. Access with its fence wait, VMAs, and the kernel's own mapping. */
import { PAGE_SIZE } from "./address.js";
import { AttachmentCalls } from "./attachments.js";
import type { DmaBuf, IosysMap, Vma } from "./dma-buf.js";
import type { OwnedBuf } from "./ledger.js";
import type { Op } from "./op.js";
import type { Held } from "./resv.js";
import type { Direction } from "./run.js";
import { EndSignal } from "./scheduler.js";
import { usageRw } from "./usage.js";

export class CpuAccessCalls extends AttachmentCalls {
  /**
   * Before the CPU reads (`from-device`) or writes: the exporter's callback, then the fences. A reader waits for KERNEL
   * and WRITE, a writer for READ too. Call without the reservation. Pairing is the caller's.
   * @throws DmaBufError `EINVAL` without a buffer; `ERESTARTSYS` while waiting: the callback is not undone.
   */
  *beginAccess(buf: DmaBuf, direction: Direction): Op<void> {
    if (!buf) this.refuse("EINVAL", "beginAccess", "no buffer: get one by its fd");
    this.enter("beginAccess", buf);
    yield* this.ask(buf, "beginCpuAccess", buf, direction);
    yield* buf.resv.waitTimeout(usageRw(direction !== "from-device"), { interruptible: true });
  }

  /** After the CPU read or wrote. Waits for nothing. @throws what the exporter refuses with */
  *endAccess(buf: DmaBuf, direction: Direction): Op<void> {
    if (this.isNull(buf, "endAccess")) this.bug("endAccess", "importer", "the buffer is NULL and is read: an oops");
    this.enter("endAccess", buf);
    yield* this.ask(buf, "endCpuAccess", buf, direction);
  }

  /** mmap(2) on the buffer's fd. A last page that is not whole cannot be mapped. @throws DmaBufError `EINVAL` */
  *mmapFile(buf: DmaBuf, vma: Vma): Op<Vma> {
    if (!buf) throw this.error("EINVAL", "mmapFile", "no dma-buf behind the file: give a dma-buf's fd");
    this.#checkMmap("mmapFile", buf, vma.pgoff + vma.pages);
    return yield* this.#mmap("dma_buf_mmap_internal", buf, vma);
  }

  /**
   * Maps pages of the buffer into a VMA that an importer was asked to fill.
   * @throws DmaBufError `EINVAL` without a callback or beyond the end; `EOVERFLOW` when the page offset wraps.
   */
  *mmapBuffer(buf: DmaBuf, vma: Vma, pgoff: number): Op<Vma> {
    if (!buf || !vma) this.refuse("EINVAL", "mmapBuffer", "no buffer or no VMA: give both");
    if (buf.ops.mmap && pgoff + vma.pages >= 2 ** 64)
      throw this.error("EOVERFLOW", "mmapBuffer", `page ${pgoff + vma.pages} does not fit 64 bits: begin lower`);
    this.#checkMmap("mmapBuffer", buf, pgoff + vma.pages);
    vma.pgoff = pgoff;
    return yield* this.#mmap("dma_buf_mmap", buf, vma);
  }

  /** Closes a VMA: its reference goes back. */
  *munmap(vma: Vma): Op<void> {
    const { buf } = vma;
    vma.buf = vma.fault = null;
    if (buf) yield* this.fput(buf);
  }

  /** The kernel's mapping of the whole buffer, shared and counted. Call with the reservation held. @throws DmaBufError `EINVAL` */
  *vmapBuffer(buf: DmaBuf, held: Held): Op<IosysMap> {
    if (!buf) this.refuse("EINVAL", "vmapBuffer", "no buffer: get one by its fd");
    const own = this.enter("vmapBuffer", buf, held) as OwnedBuf;
    if (!buf.ops.vmap)
      throw this.error("EINVAL", "vmapBuffer", `${buf.exporterName} has no vmap: the kernel cannot read it`);
    if (!own.map) own.map = yield* this.#firstVmap(own, held);
    own.vmaps++;
    return own.map;
  }

  /** Gives a kernel mapping back. Call with the reservation held. One too many, or another's, is a bug. */
  *vunmapBuffer(buf: DmaBuf, map: IosysMap, held: Held): Op<void> {
    if (this.isNull(buf, "vunmapBuffer")) return;
    const own = this.enter("vunmapBuffer", buf, held) as OwnedBuf;
    if (own.map !== map || own.vmaps === 0)
      this.bug("vunmapBuffer", "importer", `${buf.exporterName} is not mapped, or not at ${map.address}`);
    if (--own.vmaps > 0) return;
    yield* this.ask(own, "vunmap", own, map, held);
    own.map = null;
  }

  /** {@link vmapBuffer} with the reservation taken and given back inside. */
  *vmapBufferUnlocked(buf: DmaBuf): Op<IosysMap> {
    if (!buf) this.refuse("EINVAL", "vmapBufferUnlocked", "no buffer: get one by its fd");
    this.enter("vmapBufferUnlocked", buf);
    using held = yield* buf.resv.lock();
    return yield* this.vmapBuffer(buf, held);
  }

  /** {@link vunmapBuffer} with the reservation taken and given back inside. */
  *vunmapBufferUnlocked(buf: DmaBuf, map: IosysMap): Op<void> {
    if (this.isNull(buf, "vunmapBufferUnlocked")) return;
    this.enter("vunmapBufferUnlocked", buf);
    using held = yield* buf.resv.lock();
    yield* this.vunmapBuffer(buf, map, held);
  }

  *#firstVmap(own: OwnedBuf, held: Held): Op<IosysMap> {
    try {
      return (yield* this.ask(own, "vmap", own, held)) as IosysMap;
    } catch (error) {
      const why = `${own.exporterName} cannot be mapped: ${(error as Error).message}`;
      if (!(error instanceof EndSignal)) this.report("warn", "vmap", "exporter", why);
      throw error;
    }
  }

  #checkMmap(call: "mmapFile" | "mmapBuffer", buf: DmaBuf, end: number): void {
    const whole = Math.floor(buf.sizeBytes / PAGE_SIZE);
    this.enter(call, buf);
    if (!buf.ops.mmap) throw this.error("EINVAL", call, `${buf.exporterName} has no mmap: import it instead`);
    if (end > whole) throw this.error("EINVAL", call, `page ${end} is beyond the ${whole} whole pages: map fewer`);
  }

  /** The VMA's reference comes first: what the exporter does in its callback happens to a buffer that lives. */
  *#mmap(event: string, buf: DmaBuf, vma: Vma): Op<Vma> {
    this.event(event, buf);
    this.get(buf);
    vma.buf = buf;
    try {
      yield* this.ask(buf, "mmap", buf, vma);
    } catch (error) {
      yield* this.munmap(vma);
      throw error;
    }
    return vma;
  }
}
