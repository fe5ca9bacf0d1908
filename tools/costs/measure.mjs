// One measurement: a fresh machine, one buffer, one importer; import and use all of it, revoke it, close.
import { DmaBufError } from "@dma-buf/core";
import { entryDiff } from "./count.mjs";
import { rig, scatteredFile } from "./rig.mjs";

/** What is kept. An entry of a list is Linux's `struct scatterlist`; of a mapping, its address and its size. */
const [TABLE_BYTES, ENTRY_BYTES, SG_BYTES, MAPPING_BYTES] = [4096, 8, 32, 16];

/** @returns what it cost by phase, or the errno and stage with which the variant refused */
export async function measure({ importer, variant, sizeBytes, backing }) {
  const world = rig(variant, backing === "bar" ? sizeBytes : 2 ** 30);
  const { export: buffer, revoke } = await exporterOf(world, variant, backing, sizeBytes);
  const atFirst = world.machine.memory.tables.liveTables;
  const player = importer.make(world, await importer.load(variant));
  const { counts, run, framework, machine, mappings } = world;
  const pool = player.pool ?? machine.memory.tables;
  const entries = player.present ? presentDiff(player.present) : entryDiff(pool);
  const buf = run("vmm", buffer());
  const phase = (op) => {
    counts.reset();
    run("importer", op());
    return { ...entries(), ...calls(counts, player) };
  };
  const result = {};
  try {
    result.use = phase(() => player.use(buf));
  } catch (error) {
    if (!(error instanceof DmaBufError)) throw error;
    return { refused: `${error.code} at ${error.stage}` };
  }
  const tables = pool.liveTables - (player.pool ? 0 : atFirst);
  result.tables = tables;
  result.leaves = player.leaves();
  result.listed = result.use.listed;
  // Where frames are told, nobody but the importer maps; what an exporter maps is in its list.
  result.mapped = framework.contract.rows.getPfn ? mappings() : 0;
  const entryBytes = (player.present?.() ?? 0) * ENTRY_BYTES;
  result.keptBytes = tables * TABLE_BYTES + entryBytes + result.listed * SG_BYTES + result.mapped * MAPPING_BYTES;
  if (revoke) result.revoke = phase(revoke);
  result.close = phase(player.close);
  run("vmm", framework.put(buf));
  return result;
}

/** As {@link entryDiff}, of a table that is none of pages. */
function presentDiff(present) {
  let before = 0;
  return () => {
    const change = present() - before;
    before += change;
    return { written: Math.max(change, 0), cleared: Math.max(-change, 0) };
  };
}

function calls(counts, player) {
  return {
    asked: counts.sum("asked "),
    told: counts.get("told"),
    locked: counts.get("site resv.lock"),
    flushes: player.flushes.reduce((n, site) => n + counts.get(`site ${site}`), 0),
    listed: counts.get("listed"),
  };
}

async function exporterOf({ framework, vfio, machine }, variant, backing, sizeBytes) {
  if (backing === "bar") {
    const { vfioExporter } = await import(`../../packages/exporter-vfio/dist/${variant}.js`);
    const exporter = vfioExporter()(framework, vfio);
    const ranges = [{ offset: 0, length: sizeBytes }];
    return { export: () => exporter.export({ regionIndex: 0, ranges }), revoke: () => exporter.revoke() };
  }
  const { udmabufExporter } = await import(`../../packages/exporter-udmabuf/dist/${variant}.js`);
  const exporter = udmabufExporter()(framework, scatteredFile(machine, sizeBytes));
  const create = function* () {
    return exporter.create([{ memfd: 3, offset: 0, sizeBytes }]);
  };
  return { export: create, revoke: null };
}
