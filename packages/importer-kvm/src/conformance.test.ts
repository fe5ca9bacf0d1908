import { conformance, type ImporterSubject, type ImporterUnderTest, type RecordingHost } from "@dma-buf/conformance";
import { addr, type DmaBuf, type Framework, type Gpa, type Op, PAGE_SIZE } from "@dma-buf/core";
import { createPageTable, ept } from "@dma-buf/page-table";
import { describe, it } from "vitest";
import type { GuestAccess, KvmHost, KvmImporter } from "./index.js";
import { contractOf, type VariantId, VARIANTS } from "./testing/rig.js";

const GPA = addr<Gpa>(0x20_0000);

/** A vCPU without a TLB that walks the second stage: where an access ends is all that is asked. */
function guestOn(host: RecordingHost): KvmHost {
  const table = createPageTable(ept, host.tables);
  function* access(gpa: Gpa, kind: "read" | "write" | "execute"): Op<GuestAccess> {
    const result = table.translate(gpa, kind);
    return result.kind === "fault"
      ? { kind: "violation", reason: result.reason }
      : { kind: "done", bytes: new Uint8Array(8) };
  }
  const vcpu = {
    read: (gpa: Gpa) => access(gpa, "read"),
    write: (gpa: Gpa) => access(gpa, "write"),
    fetch: (gpa: Gpa) => access(gpa, "execute"),
  };
  return {
    name: "guest",
    privateMemory: false,
    table,
    tables: host.tables,
    memory: { isRam: () => true },
    guestMemory: null,
    vcpus: [vcpu],
    *flushTlb() {},
  };
}

function subject(id: VariantId, refuses?: ImporterSubject["refuses"]): ImporterSubject {
  return {
    kind: "importer",
    name: "kvm",
    contract: contractOf(id),
    capabilities: ["invalidate", "peer2peer"],
    hasDevice: false,
    ...(refuses ? { refuses } : {}),
    create: (framework, recording) => new Guest(framework, recording, id),
  };
}

/** A VM for each attachment: its second stage is there from its beginning to its end. */
class Guest implements ImporterUnderTest {
  readonly #fw: Framework;
  readonly #recording: RecordingHost;
  readonly #id: VariantId;
  #uses = 0;
  #vm: { readonly host: KvmHost; readonly kvm: KvmImporter; readonly sizeBytes: number } | null = null;

  constructor(fw: Framework, recording: RecordingHost, id: VariantId) {
    this.#fw = fw;
    this.#recording = recording;
    this.#id = id;
  }

  *attach(buf: DmaBuf): Op<void> {
    const host = guestOn(this.#recording);
    const kvm = VARIANTS[this.#id].kvm()(this.#fw, host);
    this.#vm = { host, kvm, sizeBytes: buf.sizeBytes };
    try {
      yield* kvm.setMemslot({ gpa: GPA, sizeBytes: buf.sizeBytes, buf, offset: 0 });
    } catch (error) {
      yield* this.detach();
      throw error;
    }
  }

  /** One access, as a vCPU makes it: of the first page, of the last one the next time. */
  *use(): Op<void> {
    const { kvm, sizeBytes } = this.#vm ?? never();
    const offset = this.#uses++ % 2 === 0 ? 0 : sizeBytes - PAGE_SIZE;
    yield* kvm.read(addr<Gpa>(GPA + offset), 8);
  }

  holds(): number {
    return Array.from(this.#vm?.host.table.leaves() ?? []).length;
  }

  reaches(offset: number): number | null {
    const physical = this.#vm?.host.table.lookup(GPA + offset) ?? -1;
    return physical < 0 ? null : physical;
  }

  *detach(): Op<void> {
    const { kvm, host } = this.#vm ?? never();
    this.#vm = null;
    yield* kvm.destroy();
    host.table.destroy();
  }
}

function never(): never {
  throw new TypeError("used without an attachment");
}

const NO_DEVICE = { code: "EINVAL", stage: "attach" } as const;

conformance({ describe, it }, subject("vma"));
conformance({ describe, it }, subject("pfn"));
conformance({ describe, it }, subject("pfn-locked"));
conformance({ describe, it }, subject("annotated-address"));
conformance({ describe, it }, subject("dma-address", NO_DEVICE));
conformance({ describe, it }, subject("linux-7.3", NO_DEVICE));
