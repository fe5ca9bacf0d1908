import { describe, expect, it } from "vitest";
import { resetFunction } from "./function-reset.js";
import { BAR, bytes, dmaOf, RAM, rig, type Rig, upTo } from "./testing.js";

type Change = (r: Rig) => void;
const port = ({ machine, gpu }: Rig) => machine.topology.parentOf(gpu) as typeof gpu;

describe("who sends", () => {
  it.each<[string, Change, string]>([
    ["bus mastering off", ({ machine, nic }) => machine.functions.setBusMaster(nic.fn, false), "bus mastering is off"],
    ["D3hot", ({ machine, nic }) => machine.functions.setPower(nic.fn, "D3hot"), "it is in D3hot"],
    ["removed", ({ machine, nic }) => machine.functions.unplug(nic.fn), "it was removed"],
    [
      "link down",
      ({ machine, nic }) => {
        const { functions, topology } = machine;
        functions.setLink(topology.get("0000:02:01.0"), false);
        functions.setBusMaster(nic.fn, true);
      },
      "the link below 0000:02:01.0 is down",
    ],
  ])("%s: nothing leaves", (_name, change, why) => {
    const r = rig();
    change(r);
    expect(r.run(r.nic.write(dmaOf(RAM), bytes(1)))).toMatchObject({
      kind: "lost",
      reason: `0000:04:00.0 sends nothing: ${why}`,
    });
    expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(0));
  });

  it.each<[string, Change, string]>([
    [
      "without bus mastering",
      ({ machine }) => machine.functions.setBusMaster(machine.topology.get("0000:00:01.0"), false),
      "unsupported request at 0000:00:01.0: bus mastering is off, it forwards nothing up",
    ],
    [
      "in D3hot",
      ({ machine }) => machine.functions.setPower(machine.topology.get("0000:00:01.0"), "D3hot"),
      "unsupported request at 0000:00:01.0: 0000:00:01.0 is in D3hot, and its link is down",
    ],
  ])("a root port %s lets nothing up to the root, and does not matter sideways", (_name, change, reason) => {
    const r = rig();
    change(r);
    expect(r.run(r.nic.write(dmaOf(RAM), bytes(1)))).toMatchObject({ kind: "lost", reason });
    expect(r.run(r.nic.read(dmaOf(RAM), 8))).toMatchObject({ kind: "lost", bytes: bytes(0xff) });
    expect(r.machine.memory.read(RAM, 8)).toEqual(bytes(0));
    expect(r.run(r.nic.write(dmaOf(BAR), bytes(1))).kind).toBe("done");
  });

  it("a port below the common one, without bus mastering, lets nothing sideways", () => {
    const r = rig();
    r.machine.functions.setBusMaster(r.machine.topology.get("0000:02:01.0"), false);
    expect(r.run(r.nic.write(dmaOf(BAR), bytes(1)))).toMatchObject({ reason: /at 0000:02:01.0: bus mastering is off/ });
    expect(r.machine.memory.read(BAR, 8)).toEqual(bytes(0));
  });

  it("bus mastering that the capture shows off can be turned on", () => {
    const r = rig({ captured: (fn) => (fn.address === "0000:04:00.0" ? { ...fn, busMaster: false } : fn) });
    expect(r.run(r.nic.write(dmaOf(RAM), bytes(1))).kind).toBe("lost");
    r.machine.functions.setBusMaster(r.nic.fn, true);
    expect(r.run(r.nic.write(dmaOf(RAM), bytes(1))).kind).toBe("done");
  });
});

describe("a configuration write", () => {
  it.each<[string, Change]>([
    ["D3cold", ({ machine, gpu }) => machine.functions.setPower(gpu, "D3cold")],
    ["removed", ({ machine, gpu }) => machine.functions.unplug(gpu)],
    ["link down", (r) => r.machine.functions.setLink(port(r), false)],
    ["in reset", (r) => upTo(resetFunction(r.machine.functions, r.gpu), "reset.silence")],
  ])("%s: it is lost", (_name, change) => {
    const r = rig();
    change(r);
    r.run(r.machine.functions.writeCommand(r.gpu, { memory: true, busMaster: true }));
    expect([r.machine.functions.memory(r.gpu), r.machine.functions.busMaster(r.gpu)]).toEqual([false, false]);
  });

  it("D3hot: it is taken", () => {
    const { machine, gpu, run } = rig();
    machine.functions.setPower(gpu, "D3hot");
    run(machine.functions.writeCommand(gpu, { memory: false, busMaster: false }));
    expect([machine.functions.memory(gpu), machine.functions.busMaster(gpu)]).toEqual([false, false]);
  });
});
