/** The CPU's access: its sync, and the kernel's own mapping. */
import { refusal } from "@dma-buf/config/refusal";
import {
  addr,
  type Contract,
  dmaAddress,
  DmaBufError,
  explore,
  linux73,
  PAGE_SIZE,
  type PhysAddr,
  vma,
} from "@dma-buf/core";
import { describe, expect, it } from "vitest";
import type { FolioRange } from "./host.js";
import { bytes, item, type Rig, rig, VARIANTS } from "./host.test.js";

const HUGE = 2 ** 21;
/** Few frames, for many worlds. */
const SMALL = {
  machine: { tablesMax: 4 },
  memfds: { ram: { base: addr<PhysAddr>(0x3000_0000), sizeBytes: 16 * PAGE_SIZE } },
};

describe("the CPU's access", () => {
  const syncs = (r: Rig): string[] => {
    const log: string[] = [];
    const { dma } = r.memfds.misc;
    dma.syncForCpu = (address, sizeBytes) => void log.push(`cpu ${address} ${sizeBytes}`);
    dma.syncForDevice = (address, sizeBytes) => void log.push(`device ${address} ${sizeBytes}`);
    return log;
  };

  it.each(VARIANTS)("$name: end before any begin is EINVAL, and maps nothing", ({ name }) => {
    const r = rig({ variant: name });
    const buf = r.exporter.create([item(r.file(1), 0, 1)]);
    const before = r.out();
    expect(refusal(() => r.run(r.fw.endAccess(buf, "bidirectional")))).toBe("EINVAL@cpu-access");
    expect(r.out()).toEqual(before);
  });

  it.each([false, true])(
    "every begin and end syncs each run through one mapping, in the first caller's direction (as posted: %s)",
    (asPosted) => {
      const r = rig({ options: { asPosted } });
      const fd = r.file(512, HUGE);
      const [{ physical }] = r.memfds.memfd(fd).ranges(0, PAGE_SIZE) as readonly [FolioRange];
      const buf = r.exporter.create([item(fd, 0, 2), item(fd, 4, 1)]);
      const log = syncs(r);
      const directions: string[] = [];
      const { dma } = r.memfds.misc;
      const mapPhys = dma.mapPhys.bind(dma);
      dma.mapPhys = (at, sizeBytes, direction, attributes) => {
        directions.push(direction);
        return mapPhys(at, sizeBytes, direction, attributes);
      };
      for (const direction of ["from-device", "bidirectional"] as const) {
        r.run(r.fw.beginAccess(buf, direction));
        r.run(r.fw.endAccess(buf, direction));
      }
      const runs = [`${physical} 8192`, `${physical + 4 * PAGE_SIZE} 4096`];
      const round = [...runs.map((run) => `cpu ${run}`), ...runs.map((run) => `device ${run}`)];
      expect(log).toEqual([...round, ...round]);
      expect(directions).toEqual(["from-device", "from-device"]);
      expect(r.exporter.ledger.tables).toBe(1);
      r.run(r.fw.put(buf));
      expect(r.machine.resources.read()).toMatchObject({ dmaMappings: 0, memfdPins: 0 });
    },
  );

  it("ENOMEM at begin leaves nothing, and the next end is still too early", () => {
    let fails = true;
    const r = rig({ allocFails: (op) => fails && op === "sg_alloc_table_from_pages" });
    const buf = r.exporter.create([item(r.file(1), 0, 1)]);
    const before = r.out();
    expect(refusal(() => r.run(r.fw.beginAccess(buf, "to-device")))).toBe("ENOMEM@map");
    expect(r.out()).toEqual(before);
    expect(refusal(() => r.run(r.fw.endAccess(buf, "to-device")))).toBe("EINVAL@cpu-access");
    fails = false;
    r.run(r.fw.beginAccess(buf, "to-device"));
    r.run(r.fw.endAccess(buf, "to-device"));
  });

  describe("two that begin at once", () => {
    const race = (contract: Contract, asPosted: boolean) => {
      const found = explore(
        (scheduler) => {
          const r = rig({
            variant: contract.id,
            contract,
            scheduler,
            options: { asPosted },
            ...SMALL,
          });
          const buf = r.exporter.create([item(r.file(1), 0, 1)]);
          for (const name of ["one", "two"]) scheduler.spawn(name, r.fw.beginAccess(buf, "from-device"));
          scheduler.run();
          r.run(r.fw.put(buf));
          return { lost: r.exporter.ledger.tables, findings: r.fw.findings };
        },
        { badness: ({ lost, findings }) => lost + findings.length, ordersMax: 500 },
      );
      expect(found.kind).toBe("exhausted");
      return found.worst.result;
    };

    it.each([dmaAddress, vma, linux73])(
      "$id as posted: in the worst order one mapping is lost, and that is found",
      (contract) => {
        const { lost, findings } = race(contract, true);
        expect(lost).toBe(1);
        expect(findings).toMatchObject([
          { requirement: `${contract.id}/defect-begin-race`, level: "violation", party: "exporter" },
        ]);
      },
    );

    it.each([dmaAddress, vma, linux73])("$id conforming: none is, and nothing is found", (contract) => {
      expect(race(contract, false)).toEqual({ lost: 0, findings: [] });
    });

    it("as posted under a contract without the defect: the second gives its own back", () => {
      expect(race({ ...dmaAddress, defects: [] }, true)).toEqual({ lost: 0, findings: [] });
    });
  });
});

describe("vmap", () => {
  it.each(VARIANTS)("$name: the kernel sees the pages in a row, and what it writes is in the file", ({ name }) => {
    const r = rig({ variant: name });
    const fd = r.file(4);
    const buf = r.exporter.create([item(fd, 3, 1), item(fd, 1, 1)]);
    const before = r.out();
    const map = r.run(r.fw.vmapBufferUnlocked(buf));
    expect(map.isIomem).toBe(false);
    r.run(r.memfds.kernel.write(map.address + PAGE_SIZE - 4, bytes(6)));
    expect(r.memfds.memfd(fd).read(4 * PAGE_SIZE - 4, 4)).toEqual(bytes(6, 4));
    expect(r.memfds.memfd(fd).read(PAGE_SIZE, 4)).toEqual(bytes(6, 4));
    r.run(r.fw.vunmapBufferUnlocked(buf, map));
    r.run(r.memfds.kernel.flushTlb());
    expect(r.out()).toEqual(before);
    expect(r.run(r.memfds.kernel.read(map.address, 8))).toMatchObject({ kind: "page-fault" });
  });

  it.each([
    [false, "ENOMEM@cpu-access"],
    [true, "EINVAL@cpu-access"],
  ])("without memory (as posted: %s): %s, and nothing is left", (asPosted, expected) => {
    const r = rig({ options: { asPosted }, allocFails: (op) => op === "vm_map_ram" });
    const buf = r.exporter.create([item(r.file(1), 0, 1)]);
    const before = r.out();
    expect(refusal(() => r.run(r.fw.vmapBufferUnlocked(buf)))).toBe(expected);
    expect(r.out()).toEqual(before);
  });

  it.each([
    ["vm_map_ram", "ENOMEM@cpu-access"],
    ["the host's", "ENOMEM@map"],
  ])("refused by %s: a buffer that moves is not kept where it is", (by, expected) => {
    const r = rig({ options: { movable: true }, allocFails: (op) => op === by });
    const fd = r.file(1);
    const buf = r.exporter.create([item(fd, 0, 1)]);
    const before = r.out();
    if (by === "the host's")
      r.memfds.vmap = () => {
        throw new DmaBufError("ENOMEM", { op: by, stage: "map", message: "told to fail: expect it" });
      };
    expect(refusal(() => r.run(r.fw.vmapBufferUnlocked(buf)))).toBe(expected);
    expect(r.out()).toEqual(before);
    expect(refusal(() => r.run(r.memfds.memfd(fd).migrate(0)))).toBe("ok");
  });
});
