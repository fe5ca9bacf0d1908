/** KVM: a memory slot over the buffer, vCPUs that touch it. */
import { addr, type Gpa } from "@dma-buf/core";
import { GuestVm } from "@dma-buf/machine";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { accessActions, accessActs } from "../access.js";
import { importerKind } from "../actor.js";

/** The guest sees the buffer from here on. */
const GPA_BASE = 0x1_0000_0000;

const options = v.objectWithRest({ retry: v.optional(v.boolean(), true) }, v.unknown());
const actions = {
  /** A memory slot over the buffer, or over a part of it, at the same offset from where the guest sees it. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer"), offset: v.optional(size, 0), bytes: v.optional(size) }),
  ...accessActions,
};

export const kvm = importerKind({
  package: "@dma-buf/importer-kvm",
  options,
  actions,
  create(stage, { retry }) {
    const { machine, framework, column, cast, scenario } = stage;
    const isPrivate = "vm" in scenario.topology.modifiers;
    const vm = new GuestVm(machine, "guest", isPrivate);
    const player = column.players.importers.kvm({ asPosted: cast.importerAsPosted, retry })(framework, vm);
    const gpa = (offset: number): Gpa => addr<Gpa>(GPA_BASE + offset);
    let imported = "buffer";
    return {
      acts: {
        *import({ buffer, offset, bytes }) {
          const { buf } = stage.exported(buffer);
          yield* player.setMemslot({ gpa: gpa(offset), sizeBytes: bytes ?? buf.sizeBytes - offset, buf, offset });
          imported = buffer;
        },
        ...accessActs(stage, {
          name: player.name,
          buffer: () => imported,
          write: (offset, bytes) => player.write(gpa(offset), bytes),
          read: (offset, sizeBytes) => player.read(gpa(offset), sizeBytes),
          via: (offset) => `GPA 0x${gpa(offset).toString(16)}`,
        }),
      },
      close: () => player.destroy(),
    };
  },
});
