/** The third layer: attaching and detaching. */
import { MappingCalls } from "./mappings.js";
import type { DmaBuf, DmaBufAttachment, DmaBufAttachOps } from "./dma-buf.js";
import type { Device } from "./host.js";
import type { OwnedAttachment, OwnedBuf } from "./ledger.js";
import type { Op } from "./op.js";

/** Who attaches, for findings and the trace, and the importer's operations. */
export interface Importer {
  readonly name: string;
  /** `null`: a static importer. */
  readonly ops: DmaBufAttachOps | null;
}

export class AttachmentCalls extends MappingCalls {
  /** A static attachment: the importer brings no operations. Linux: `dma_buf_attach()`. */
  staticAttach(buf: DmaBuf, device: Device | null, importerName: string): Op<DmaBufAttachment> {
    return this.dynamicAttach(buf, device, { name: importerName, ops: null });
  }

  /**
   * Attaches. Call without the reservation. The attachment takes no reference to the buffer: hold one as long. The
   * exporter's `attach` runs before the attachment is on the list: an invalidate between the two does not reach it.
   * @throws DmaBufError `EINVAL`, with a `warn` finding, without a device where the policy wants one, or for a
   * dynamic importer without the invalidate callback where that is mandatory; `ENOMEM`; or what the exporter refuses with.
   */
  *dynamicAttach(buf: DmaBuf, device: Device | null, importer: Importer): Op<DmaBufAttachment> {
    this.#checkAttach(buf, device, importer);
    const own = this.enter("dynamicAttach", buf) as OwnedBuf;
    this.env.alloc(this.rule("dynamicAttach"));
    const at = newAttachment(own, device, importer);
    yield* this.ask(buf, "attach", at);
    this.#checkPeer2peer(at);
    try {
      {
        using _held = yield* buf.resv.lock();
        own.attachments.unshift(at);
      }
      if (this.policy.bridgeStatic === "at-attach") yield* this.bridge(at);
    } catch (error) {
      // Ended while it waits for the lock, it is on no list: the exporter alone knows of it.
      yield* own.attachments.includes(at) ? this.detachAttachment(buf, at) : this.ask(buf, "detach", at);
      throw error;
    }
    this.#event("dma_buf_dynamic_attach", at);
    return at;
  }

  /** Detaches. Call without the reservation. Cannot fail: what is left mapped or pinned is a finding. Linux: `dma_buf_detach()`. */
  *detachAttachment(buf: DmaBuf, attachment: DmaBufAttachment): Op<void> {
    const at = attachment as OwnedAttachment | null;
    const report = (level: "warn" | "violation", message: string): void =>
      this.report(level, "detachAttachment", "importer", message);
    if (!buf || !at) return report("warn", "detach without a buffer or an attachment");
    const who = at.importerName;
    if (at.buf !== buf || at.detached) return report("warn", `${who} detaches what is not attached here`);
    const own = this.enter("detachAttachment", buf) as OwnedBuf;
    const forgotten = yield* this.unbridge(at);
    {
      using _held = yield* buf.resv.lock();
      const index = own.attachments.indexOf(at);
      if (index < 0) return report("warn", `${who} is detached twice at the same time`);
      own.attachments.splice(index, 1);
    }
    at.detached = true;
    if (at.liveMaps > 0) report("violation", `${who} detaches with ${at.liveMaps} mapping(s) left`);
    if (at.pins > forgotten) report("violation", `${who} detaches with ${at.pins - forgotten} pin(s) left`);
    if (at.liveMaps + at.pins > 0) own.leaked.push(at);
    yield* this.ask(buf, "detach", at);
    this.#event("dma_buf_detach", at);
  }

  /** Can this importer be told to stop? An exporter that revokes asks in `attach`. Linux 7.3: `dma_buf_attach_revocable()`. */
  isRevocable(attachment: DmaBufAttachment): boolean {
    return attachment.importer?.invalidateMappings !== undefined;
  }

  #checkAttach(buf: DmaBuf, device: Device | null, importer: Importer): void {
    const { device: wanted, invalidate } = this.policy;
    const refuse = (rule: string): never => this.refuse("EINVAL", "dynamicAttach", rule, { importer: importer.name });
    if (!buf) refuse("no buffer: get one by its fd");
    const needsDevice = wanted === "always" || (wanted === "unless-no-map" && buf.ops.mapDmaBuf !== undefined);
    if (!device && needsDevice) refuse(`${importer.name} has no struct device, and the exporter maps for one`);
    if (importer.ops && !importer.ops.invalidateMappings && invalidate === "mandatory")
      refuse(`${importer.name} is dynamic but has no ${this.rule("invalidateMappings").op}`);
  }

  /** Only the exporter's attach may change it, and only to `false`. */
  #checkPeer2peer(at: OwnedAttachment): void {
    if (!at.peer2peer || at.importer?.allowPeer2peer) return;
    const what = `${at.buf.exporterName} raises peer2peer, which ${at.importerName} does not take`;
    this.report("violation", "attach", "exporter", what);
    at.peer2peer = false;
  }

  #event(name: string, at: OwnedAttachment): void {
    const who = `attachment:${at.importerName} is_dynamic=${Number(at.importer !== null)}`;
    this.event(name, at.buf, ` ${who} dev_name=${at.device?.name ?? "(null)"}`);
  }
}

const FRESH = { liveMaps: 0, pins: 0, cached: null, detached: false } as const;

function newAttachment(buf: OwnedBuf, device: Device | null, importer: Importer): OwnedAttachment {
  return {
    buf,
    device,
    importer: importer.ops,
    importerName: importer.name,
    peer2peer: importer.ops?.allowPeer2peer ?? false,
    maps: [],
    ...FRESH,
  };
}
