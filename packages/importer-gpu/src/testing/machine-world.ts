/** A race's world on the modelled machine: bytes travel by the GPU's table, its TLB, the PCI fabric and the BAR. */
import type { Build } from "./world.js";
import { BAR, bytes, rig } from "./rig.js";

export const onMachine: Build = (scheduler, id, { importer }) => {
  const { fw, vfio, exporter, gpu, machine, memory, run, bar, bo } = rig(id, {
    framework: { scheduler },
    ...(importer ? { importer } : {}),
  });
  return {
    fw,
    vfio,
    exporter,
    gpu,
    barAt: BAR,
    run,
    bar: () => bar(1),
    bo,
    peek: (place) => machine.memory.read(place, 1)[0] ?? 0,
    poke: (place, value) => machine.memory.write(place, bytes(value, 1)),
    byteOf: ({ place }) => (place ? (memory.read(place.domain, place.blocks[0]?.start ?? 0, 1)[0] ?? 0) : 0),
    left() {
      const { dmaMappings } = machine.ledger;
      const left = Object.entries({ ...fw.ledger, ...gpu.ledger, ...exporter.ledger, dmaMappings });
      const out = left.filter(([, n]) => n !== 0).map(([what, n]) => `RESLEAK: ${n} ${what}`);
      return [...out, ...fw.findings.map((f) => f.message)];
    },
  };
};
