/** A process that maps the buffer through its fd, and a device beside it that writes into the same memory. */
import { addr, type DmaAddr, type Op, PAGE_SIZE, type PhysAddr, type Vma } from "@dma-buf/core";
import * as v from "valibot";
import { accessActions, accessActs, inOnePage } from "../access.js";
import { importerKind, NotApplicable } from "../actor.js";

const options = v.strictObject({
  /** `DMA_BUF_IOCTL_SYNC` around each access. */
  callsSync: v.optional(v.boolean(), true),
});
const actions = {
  /** mmap(2) of the buffer's first page. */
  import: v.strictObject({}),
  /** The device beside it writes by DMA, past the caches. */
  "device-write": v.strictObject({ bytes: v.optional(inOnePage, 64) }),
  read: accessActions.read,
  write: accessActions.write,
};

export const cpu = importerKind({
  package: null,
  options,
  actions,
  create(stage, { callsSync }) {
    const { framework, machine, judge } = stage;
    const device = stage.nextDevice();
    const seen = machine.cpuCache ?? machine.memory;
    let mapped: { readonly vma: Vma; readonly physical: PhysAddr } | null = null;

    function* synced<T>(direction: "to-device" | "from-device", access: (physical: PhysAddr) => T): Op<T> {
      if (!mapped) throw new NotApplicable("nothing is mapped: import first");
      const { buf } = stage.exported("buffer");
      if (callsSync) yield* framework.beginAccess(buf, direction);
      const result = access(mapped.physical);
      if (callsSync) yield* framework.endAccess(buf, direction);
      return result;
    }

    return {
      acts: {
        *import() {
          const { buf, content } = stage.exported("buffer");
          const vma = yield* framework.mmapFile(buf, { pgoff: 0, pages: 1, buf: null, fault: null });
          mapped = { vma, physical: addr<PhysAddr>(content.ranges()[0]?.base ?? 0) };
        },
        *"device-write"({ bytes: sizeBytes }) {
          const { content } = stage.exported("buffer");
          const bytes = judge.pattern(sizeBytes);
          judge.willWrite(content, 0, bytes);
          yield* device.write(addr<DmaAddr>(content.ranges()[0]?.base ?? 0), bytes);
        },
        ...accessActs(stage, {
          name: "the process",
          buffer: () => "buffer",
          *write(offset, bytes) {
            checkMapped(offset, bytes.length);
            yield* synced("to-device", (physical) => seen.write(addr<PhysAddr>(physical + offset), bytes));
            return { kind: "done", bytes: new Uint8Array(0) };
          },
          *read(offset, sizeBytes) {
            checkMapped(offset, sizeBytes);
            const read = (physical: PhysAddr) => seen.read(addr<PhysAddr>(physical + offset), sizeBytes);
            return { kind: "done", bytes: yield* synced("from-device", read) };
          },
          via: (offset) => `offset ${offset} of its mapping`,
        }),
      },
      *close() {
        if (mapped) yield* framework.munmap(mapped.vma);
        mapped = null;
      },
    };
  },
});

function checkMapped(offset: number, sizeBytes: number): void {
  if (offset + sizeBytes > PAGE_SIZE)
    throw new NotApplicable(
      `the process has the first page mapped, and no byte at ${offset + sizeBytes - 1}: stay in it`,
    );
}
