/**
 * A GPU whose virtual function the exporter's device is. Its own memory has a slice that the function's BAR shows, and behind
 * it the next function's. A platform model: what lies where in it is this file's choice.
 */
import { addr, hex, type PhysAddr } from "@dma-buf/core";
import type { GpuFabric, GpuVirtualFunction } from "@dma-buf/importer-gpu";
import { type Arrival, DeviceFabric, type FabricMemory, type MachineDevice } from "@dma-buf/machine";
import type { Bar, PciFunction } from "@dma-buf/pci";
import { isWithin, type PhysRange } from "../content.js";
import type { Stage } from "../stage.js";

/** Before the slice, the GPU driver's own part; behind it, the next function's. */
const [OWN_BYTES, NEIGHBOUR_BYTES] = [2 ** 20, 2 ** 20];
/** What the virtual function has left at the beginning of its slice. */
const LEFT_BYTES = 4096;

export class OwnMemory {
  /** By the GPU's own addresses. */
  readonly fabric: GpuFabric;
  readonly virtualFunctions: readonly GpuVirtualFunction[];
  readonly #stage: Stage;
  readonly #device: MachineDevice;
  readonly #vf: PciFunction;
  readonly #shown: PhysRange;

  /** @param sliceBytes not given: as much as the BAR shows */
  constructor(stage: Stage, device: MachineDevice, sliceBytes?: number) {
    const { machine, binding } = stage;
    this.#stage = stage;
    this.#device = device;
    this.#vf = machine.topology.get(binding.exporter);
    const bar = this.#vf.bars.find((b) => b.index === binding.barIndex) as Bar;
    const sizeBytes = sliceBytes ?? bar.sizeBytes;
    this.#shown = { base: bar.base, sizeBytes };
    const memory = new DeviceFabric(machine, `the memory of ${device.name}`);
    memory.join(device);
    memory.expose(device, OWN_BYTES);
    const base = memory.show(device, this.#slice());
    memory.show(device, this.#neighbour());
    machine.memory.write(bar.base, stage.judge.pattern(LEFT_BYTES));
    const { busOffsetBytes } = machine.topology.hostBridgeOf(this.#vf);
    const shown = { physical: bar.base, sizeBytes: bar.sizeBytes };
    this.virtualFunctions = [{ name: this.#vf.address, bar: shown, busOffsetBytes, slice: { base, sizeBytes } }];
    this.fabric = {
      read: (at, bytes) => memory.read(device, at, bytes),
      write: (at, bytes) => memory.write(device, at, bytes),
    };
  }

  /** Did the last access stay inside the GPU? */
  get wasReached(): boolean {
    const last = this.#stage.machine.arrivals.at(-1);
    return last !== undefined && last.by === this.#device.name && !last.issued;
  }

  /** Marks an access that came by the bus to what the GPU has itself. */
  lookAtDetours(): void {
    const { machine, judge } = this.#stage;
    const isDetour = ({ by, issued, physical }: Arrival): boolean =>
      by === this.#device.name && issued !== undefined && physical !== null && isWithin([this.#shown], physical);
    const detour = machine.arrivals.find(isDetour);
    if (!detour) return;
    const text = `${this.#device.name} goes by PCIe address to ${hex(detour.physical ?? 0)}, a BAR of its virtual function ${this.#vf.address}, for what is in its own memory: nothing in the address says so`;
    judge.mark("DEGRADED", { kind: "bytes", id: "I1", text });
  }

  /** The bytes that the BAR shows; nothing is sent to reach them. */
  #slice(): FabricMemory {
    const { machine } = this.#stage;
    const { base, sizeBytes } = this.#shown;
    const by = this.#device.name;
    const arrived = (access: "read" | "write", at: number, bytes: number): PhysAddr => {
      const physical = addr<PhysAddr>(base + at);
      machine.book({ by, access, physical, target: "mmio", sizeBytes: bytes });
      machine.trace.emit("access", () => `${by}: ${access} at ${hex(physical)}, inside its own memory`);
      return physical;
    };
    return {
      sizeBytes,
      read: (at, bytes) => machine.peek(arrived("read", at, bytes), bytes),
      write: (at, bytes) => machine.memory.write(arrived("write", at, bytes.length), bytes),
    };
  }

  /** Who comes here has gone past the end of the slice. */
  #neighbour(): FabricMemory {
    const met = (at: number): void =>
      this.#stage.judge.mark("DISCLOSE", {
        kind: "invariant",
        id: "I6",
        text: `${this.#device.name} reaches ${hex(at)} bytes behind the slice of ${this.#vf.address}: the memory of another virtual function`,
      });
    return {
      sizeBytes: NEIGHBOUR_BYTES,
      read(at, bytes) {
        met(at);
        return new Uint8Array(bytes);
      },
      write: met,
    };
  }
}

/** `null`: the exporter's device is no function of this GPU. */
export function ownMemoryOf(stage: Stage, device: MachineDevice, sliceBytes?: number): OwnMemory | null {
  const { physfn, address } = stage.machine.topology.get(stage.binding.exporter);
  if (physfn === device.name) return new OwnMemory(stage, device, sliceBytes);
  if (sliceBytes !== undefined)
    throw new RangeError(`${address} is no virtual function of ${device.name}: it has no slice`);
  return null;
}
