/** KVM: a memory slot over the buffer, vCPUs that touch it. */
import { addr, type Gpa, hex, type Op } from "@dma-buf/core";
import { GuestVm } from "@dma-buf/machine";
import { armStage2, ept } from "@dma-buf/page-table";
import * as v from "valibot";
import { size } from "../../scenario/size.js";
import { accessActions, accessActs } from "../access.js";
import { importerKind } from "../actor.js";
import { type PhysRange, physicalAt } from "../content.js";
import { attest } from "./attest.js";
import { examineLeaves } from "./second-stage.js";
import { trustedHost } from "./trusted-vm.js";

/** The guest sees the buffer from here on. */
const GPA_BASE = 0x1_0000_0000;
/** Linux: `KVM_MEMORY_ATTRIBUTE_PRIVATE`. */
const PRIVATE = 8n;

const options = v.strictObject({
  /** Does a fault look whether it was overtaken by an invalidate? */
  retry: v.optional(v.boolean(), true),
  /** Which VM it is. A device is locked to VM1. */
  vm: v.optional(v.string(), "VM1"),
});
const part = { offset: v.optional(size, 0), bytes: v.optional(size) };
const actions = {
  /** A memory slot over the buffer, or over a part of it. `at`: how far from where the guest sees buffers; else as far as in the buffer. */
  import: v.strictObject({ buffer: v.optional(v.string(), "buffer"), at: v.optional(size), ...part }),
  /** The guest has the VMM make frames private or shared; the platform follows. */
  convert: v.strictObject({ to: v.picklist(["private", "shared"]), ...part }),
  /** The guest holds its slots against what the device says of itself, before it uses it. */
  attest: v.strictObject({}),
  /** Looks at what the second stage says of `bytes` at `offset`: how large leaves are, and how they are cached. */
  "examine-leaves": v.strictObject({ offset: v.optional(size, 0), bytes: v.optional(size, 4096) }),
  ...accessActions,
};

export const kvm = importerKind({
  package: "@dma-buf/importer-kvm",
  options,
  actions,
  create(stage, { retry, vm: name }) {
    const { machine, framework, column, cast, scenario, trustedIo } = stage;
    const { vm: kind, secondStage } = scenario.topology.modifiers;
    const format = secondStage === "Arm stage 2, S2FWB" ? armStage2 : ept;
    const vm = new GuestVm(machine, name, kind !== undefined, { format });
    const host = trustedHost(vm, trustedIo);
    const player = column.players.importers.kvm({ asPosted: cast.importerAsPosted, retry })(framework, host);
    trustedIo.join(name, player);
    const slots: PhysRange[] = [];
    let imported = "buffer";
    let shift = 0;
    const gpa = (offset: number): Gpa => addr<Gpa>(GPA_BASE + shift + offset);
    const wholeOr = (bytes: number | undefined, offset: number): number =>
      bytes ?? stage.exported(imported).buf.sizeBytes - offset;
    return {
      acts: {
        *import({ buffer, offset, bytes: wanted, at = offset }) {
          [imported, shift] = [buffer, at - offset];
          const { buf, content } = stage.exported(buffer);
          const sizeBytes = wholeOr(wanted, offset);
          yield* player.setMemslot({ gpa: gpa(offset), sizeBytes, buf, offset });
          slots.push({ base: physicalAt(content, offset) ?? 0, sizeBytes });
        },
        *convert({ to, offset, bytes: wanted }): Op<void> {
          const bytes = wholeOr(wanted, offset);
          const attributes = to === "private" ? PRIVATE : 0n;
          yield* player.setMemoryAttributes({
            address: BigInt(gpa(offset)),
            size: BigInt(bytes),
            attributes,
            flags: 0n,
          });
          const base = physicalAt(stage.exported(imported).content, offset);
          if (to === "shared" && base !== null) trustedIo.share({ base, sizeBytes: bytes });
        },
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *attest() {
          attest(stage, slots);
        },
        // biome-ignore lint/correctness/useYield: an action is an operation, this one does not sleep
        *"examine-leaves"({ offset, bytes }) {
          examineLeaves(stage, vm, stage.exported(imported).content, { gpa: gpa(offset), offset, bytes });
        },
        ...accessActs(stage, {
          name: player.name,
          buffer: () => imported,
          write: (offset, bytes) => player.write(gpa(offset), bytes),
          read: (offset, sizeBytes) => player.read(gpa(offset), sizeBytes),
          via: (offset) => `GPA ${hex(gpa(offset))}`,
        }),
      },
      close: () => player.destroy(),
    };
  },
});
