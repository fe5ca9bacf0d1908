/** An assigned function, and what takes its memory away and gives it back. Linux 7.3: vfio_pci_config.c, vfio_pci_core.c. */
import { type Attributes, DmaBufError, type Framework, type MaySleep, type Op, perform } from "@dma-buf/core";
import { BarMmaps, type MmapDevice } from "./bar-mmap.js";
import type { Owner, VfioDmaBuf } from "./buffer.js";
import type { VfioHost } from "./host.js";
import { MemoryLock } from "./memory-lock.js";
import { PrivateBinding } from "./private.js";
import { refuse } from "./refuse.js";
import { type Revocable, Section, withMemoryLock } from "./section.js";
import { needBoolean, needPowerState } from "./shape.js";

/** Which code plays. */
export interface Conduct {
  /** As posted or merged, with what was wrong in it? */
  readonly asPosted: boolean;
  /** Does a revoke wait for what the contract's policy names? */
  readonly waits: boolean;
  /** Is an empty range exported? It adds nothing. */
  readonly takesEmpty: boolean;
  /** Does the end of a BAR bring the rest of its page? */
  readonly byPage: boolean;
  /** How the memory wants to be reached. */
  readonly memory: Attributes;
  /** Does an annotation say whose alone it is? */
  readonly tagsOwner: boolean;
}

export class VfioDevice implements Revocable, Owner, MmapDevice {
  readonly fw: Framework;
  readonly host: VfioHost;
  readonly asPosted: boolean;
  readonly waits: boolean;
  readonly memory: Attributes;
  readonly tagsOwner: boolean;
  readonly lock: MemoryLock;
  readonly listed: Set<VfioDmaBuf> = new Set();
  readonly tables: { made: number } = { made: 0 };
  readonly mmaps: BarMmaps = new BarMmaps(this);
  readonly binding: PrivateBinding;
  /** Its fd, until the last close. */
  isOpen = true;
  #isAsleep = false;

  constructor(
    fw: Framework,
    host: VfioHost,
    { asPosted, waits, memory, tagsOwner }: Omit<Conduct, "takesEmpty" | "byPage">,
  ) {
    this.fw = fw;
    this.host = host;
    this.asPosted = asPosted;
    this.waits = waits;
    this.memory = memory;
    this.tagsOwner = tagsOwner;
    this.lock = new MemoryLock(fw.scheduler);
    this.binding = new PrivateBinding(
      host,
      (why) => this.locked(why, takeAway),
      () => this.needOpen(),
    );
  }

  get name(): string {
    return this.host.name;
  }

  memoryEnabled(): boolean {
    return this.host.powerState === "D0" && this.host.memoryEnabled;
  }

  /** For a CPU's fault in a mapping of a BAR. Low power counts here, and not for buffers. */
  enabled(): boolean {
    return this.memoryEnabled() && !this.#isAsleep;
  }

  *setMemoryEnabled(on: boolean): Op<void> {
    this.needOpen();
    needBoolean("setMemoryEnabled()", on);
    const { host } = this;
    yield* this.locked(`COMMAND.MEMORY ${on ? "on" : "off"}`, function* (section) {
      if (!on) yield* section.revoke();
      try {
        yield* host.writeMemoryEnabled(on);
      } finally {
        yield* section.restore();
      }
    });
  }

  *setPowerState(to: VfioHost["powerState"]): Op<void> {
    this.needOpen();
    needPowerState(this.name, to);
    yield* this.locked(`power state ${to}`, (section) => this.#power(section, to));
  }

  *functionLevelReset(): Op<void> {
    this.needOpen();
    if (this.host.hasFlr) yield* this.locked("function level reset", (section) => this.#flr(section));
  }

  *reset(): Op<void> {
    this.needOpen();
    const { host, name } = this;
    if (!host.canReset)
      refuse("EINVAL", "cpu-access", `no way to reset ${name} works: reset the bus that it is on`, { function: name });
    yield* this.locked("VFIO_DEVICE_RESET", function* (section) {
      yield* section.wake();
      yield* section.revoke();
      try {
        yield* host.reset();
      } finally {
        yield* section.restore();
      }
    });
  }

  *enterLowPower(): Op<void> {
    this.needOpen();
    yield* this.locked("low power entry", (section) => this.#fallAsleep(section));
  }

  *exitLowPower(): Op<void> {
    this.needOpen();
    yield* this.locked("low power exit", (section) => {
      this.#isAsleep = false;
      return section.restore();
    });
  }

  revoke(): Op<void> {
    return this.locked("revoke", (section) => section.revoke());
  }

  restore(): Op<void> {
    return this.locked("un-revoke", (section) => section.restore());
  }

  tryLockMemory(why: string): Section | null {
    const guard = this.lock.tryWrite(why);
    return guard && new Section(this, guard);
  }

  protected needOpen(stage: "export" | "fd" = "fd"): void {
    if (!this.isOpen) refuse("EBADF", stage, `the fd of ${this.name} is closed: open the device again`);
  }

  protected locked<T>(why: string, body: (section: Section) => Op<T>): Op<T> {
    return withMemoryLock(this, why, body);
  }

  *#power(section: Section, to: VfioHost["powerState"]): Op<void> {
    if (to !== "D0") yield* section.revoke();
    yield* this.#untold(() => this.host.setPowerState(to));
    yield* section.restore();
  }

  *#flr(section: Section): Op<void> {
    yield* section.revoke();
    yield* this.#untold(() => this.host.reset());
    if (!this.#staysRevoked()) yield* section.restore();
  }

  /** The guest wrote a bit: it cannot be told that what it asked for failed. */
  *#untold(act: () => MaySleep<void>): Op<void> {
    try {
      yield* perform(act());
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      this.fw.trace.emit("event", () => `${this.name}: ${error.op} failed, ${error.message}`);
    }
  }

  /** The RFC revokes here a second time where it should give back. That bites if there is anything to be given back. */
  #staysRevoked(): boolean {
    const { asPosted, fw, listed, name } = this;
    const bites = asPosted && this.memoryEnabled() && listed.size > 0;
    return bites && fw.defect("reset-stays-revoked", `${listed.size} buffer(s) of ${name}`, "exporter");
  }

  *#fallAsleep(section: Section): Op<void> {
    yield* section.revoke();
    if (this.#isAsleep) refuse("EINVAL", "cpu-access", `${this.name} has entered low power already: wake it first`);
    this.#isAsleep = true;
  }
}

/** Puts out whoever has the memory; who still may, comes back by itself. */
function* takeAway(section: Section): Op<void> {
  yield* section.revoke();
  yield* section.restore();
}
