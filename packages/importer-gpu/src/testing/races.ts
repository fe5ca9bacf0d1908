/** What is at a buffer against what takes it away, and a witness that reads the bytes. One page: more shows the same. */
import { referenceExporter } from "@dma-buf/conformance";
import type { Op } from "@dma-buf/core";
import { does, finished, read, VA, write } from "./rig.js";
import { Scene } from "./scene.js";
import type { Race } from "./search.js";

/** What is at it: set up before the race, and run in it; `null`: a job alone, that was queued. */
type User = (scene: Scene) => Op<void> | null;

/** The memory is taken away while `user` is at it: no byte changes after that, and nothing leads there. */
function revoked(user: User): Race {
  return (arena, id, importer) => {
    const world = arena.build(arena.scheduler, id, { importer });
    const { gpu, vfio, barAt } = world;
    const s = new Scene(arena, world, world.bar());
    let left: number | undefined;
    const vmm = function* (): Op<void> {
      yield* vfio.revoke();
      left = world.peek(barAt);
    };
    s.race({ user: user(s), vmm: vmm() });
    if (world.peek(barAt) !== left) s.say("STALE: written after the revoke returned");
    world.poke(barAt, 9);
    const late = arena.scheduler.spawn("late", does(gpu, s.seat, read(0, 1)));
    arena.scheduler.run();
    const [result] = late.result ?? [];
    if (result?.kind === "done" && result.bytes[0] === 9) s.say("STALE: read after the revoke");
    if (s.seat.vm.reaches(VA) !== null) s.say("STALE: the table or the TLB leads to what was revoked");
    world.run(vfio.restore());
    return s.end();
  };
}

/** The buffer moves while `user` is at it, and is used afterwards: what was written last is where the buffer is. */
function moved(user: User, last: number): Race {
  return (arena, id, importer) => {
    const world = arena.build(arena.scheduler, id, { importer });
    const { bo, buf } = world.bo();
    const s = new Scene(arena, world, buf);
    s.race({ user: user(s), driver: world.exporter.move(bo, bo.place?.domain === "vram" ? "gtt" : "vram") });
    if (world.byteOf(bo) !== last) s.say(`CORRUPT: the buffer has ${world.byteOf(bo)} where ${last} was written`);
    const [seen] = world.run(does(world.gpu, s.seat, read(0, 1)));
    if (seen?.kind !== "done" || seen.bytes[0] !== last)
      s.say(`STALE: a job after the move reads ${JSON.stringify(seen)}`);
    world.exporter.close(bo);
    return s.end();
  };
}

/** The kit's exporter, which has the fewest steps. Its first byte is at `physical`. */
function reference(user: User, acts: "revoke" | "move"): Race {
  return (arena, id, importer) => {
    const world = arena.build(arena.scheduler, id, { importer, mapType: "bus-address" });
    const exporter = referenceExporter(world.fw);
    const s = new Scene(arena, world, exporter.buf);
    const old = exporter.physical;
    let left: number | undefined;
    const taking = function* (): Op<void> {
      yield* exporter[acts]();
      left = world.peek(old);
    };
    s.race({ user: user(s), exporter: taking() });
    if (world.peek(old) !== left) s.say(`STALE: written to the old place after the ${acts} returned`);
    if (s.seat.vm.reaches(VA) === old) s.say(`STALE: the table or the TLB leads to the old place`);
    exporter.restore();
    world.run(does(world.gpu, s.seat, write(5)));
    if (world.peek(exporter.physical) !== 5) s.say("CORRUPT: a job afterwards writes elsewhere");
    return s.end();
  };
}

const job =
  (lists: boolean): User =>
  (s) => (s.queues(lists), null);
/** The second access finds the first one's translation in the TLB. */
const twice =
  (lists: boolean): User =>
  (s) => (s.queues(lists, read(0, 1)), null);
const submit =
  (lists: boolean): User =>
  (s) =>
    s.submits(lists);
const validate: User = (s) => s.world.gpu.validate(s.seat.vm, [s.seat]);
/** What was mapped is let go first, so that it has to be mapped. */
const mapAgain: User = (s) => {
  s.world.run(s.world.vfio.revoke());
  s.world.run(s.world.vfio.restore());
  return validate(s);
};

/** By name: who is at the buffer, and what becomes of it. */
const RACES: Readonly<Record<string, Race>> = {
  "validate × revoke": reference(validate, "revoke"),
  "validate × move": reference(validate, "move"),
  "listed job × revoke": reference(job(true), "revoke"),
  "unlisted job × revoke": reference(job(false), "revoke"),
  "listed job × move": reference(job(true), "move"),
  "listed job of two accesses × revoke": reference(twice(true), "revoke"),
  "unlisted job of two accesses × revoke": reference(twice(false), "revoke"),
  "submission × revoke": reference(submit(true), "revoke"),
  "submission × move": reference(submit(true), "move"),
  "listed job × vfio's revoke": revoked(job(true)),
  "unlisted job × vfio's revoke": revoked(job(false)),
  "listed job of two accesses × vfio's revoke": revoked(twice(true)),
  "map × vfio's revoke": revoked(mapAgain),
  "submission × vfio's revoke": revoked(submit(true)),
  "listed job × a GPU's move": moved(job(true), 2),
  "submission × a GPU's move": moved(submit(true), 2),
};

export function raceNamed(name: string): Race {
  const race = RACES[name];
  if (!race) throw new RangeError(`no race ${name}`);
  return race;
}

/** A job that does not list the buffer must not be queued behind a revoke whose callback passed its address space over. */
export const queuedLate: Race = (arena, id, importer) => {
  const world = arena.build(arena.scheduler, id, { importer, mapType: "bus-address" });
  const s = new Scene(arena, world, world.bar());
  let isRevoked = false;
  const user = function* (): Op<void> {
    const { vm } = s.seat;
    const queued = yield* world.gpu.submit({ vm, buffers: [], commands: [write(2)] });
    const late = isRevoked;
    yield* finished(queued);
    if (late && world.peek(world.barAt) === 2) s.say("STALE: a job that was queued after the revoke reached the BAR");
  };
  const vmm = function* (): Op<void> {
    yield* world.vfio.revoke();
    isRevoked = true;
  };
  s.race({ user: user(), vmm: vmm() });
  return s.end();
};
