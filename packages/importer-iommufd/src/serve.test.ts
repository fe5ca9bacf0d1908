/** Every contract that can serve: a device of the IOAS reaches the BAR, until the exporter takes it away. */
import { describe, expect, it } from "vitest";
import { BAR, machineWorld, MAP, PAGE, pattern, SERVING } from "./testing/machine-world.js";

const IOVA = 0x10_0000_0000n;

describe.each(["vt-d", "amd-vi"] as const)("behind %s", (iommuKind) => {
  it.each(SERVING)("%s: bytes arrive, and after a revoke the device faults", (id) => {
    const w = machineWorld(id, { iommuKind });
    const before = w.counts();
    const ioas = w.iommufd.createIoas();
    const bound = w.iommufd.bind(w.nic);
    w.run(bound.attach(ioas));
    const buf = w.bar([{ offset: PAGE, length: 4 * PAGE }]);
    const map = { flags: MAP.FIXED_RW, iova: IOVA, length: BigInt(4 * PAGE), file: buf, start: 0n };
    expect(w.run(ioas.mapFile(map))).toBe(IOVA);
    expect(w.write(IOVA + 0x2100n, pattern(1))).toBe("done");
    expect(w.machine.memory.read(BAR + PAGE + 0x2100, 16)).toEqual(pattern(1));
    w.machine.memory.write(BAR + PAGE + 0x2100, pattern(2));
    expect(w.read(IOVA + 0x2100n, 16)).toEqual(pattern(2));
    w.run(w.vfio.revoke());
    expect(w.write(IOVA + 0x2100n, pattern(3))).toBe("fault");
    expect(w.machine.memory.read(BAR + PAGE + 0x2100, 16)).toEqual(pattern(2));
    expect(w.run(ioas.unmap(IOVA, BigInt(4 * PAGE)))).toBe(BigInt(4 * PAGE));
    w.run(w.fw.put(buf));
    w.run(w.iommufd.close());
    w.run(w.iommufd.objects.destroy(w.iommufd.objects.idOf(ioas)));
    w.run(w.iommufd.unbind(bound));
    expect(w.counts()).toEqual(before);
    expect(w.fw.findings).toEqual([]);
  });
});

it.each([
  ["a tag says that it is one VM's", true, "EOPNOTSUPP@map"],
  ["nobody says whose it is", false, "ok"],
])("annotated-address, private to a VM, and %s", (_name, tagsOwner, expected) => {
  const w = machineWorld("annotated-address", { exporter: { tagsOwner } });
  const ioas = w.iommufd.createIoas();
  const buf = w.bar([{ offset: 0, length: PAGE }]);
  w.run(w.vfio.binding.bind({}));
  const map = { flags: MAP.FIXED_RW, iova: IOVA, length: BigInt(PAGE), file: buf, start: 0n };
  expect(w.answer(ioas.mapFile(map))).toBe(expected);
});
