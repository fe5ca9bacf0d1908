/** A job that is on the GPU while other things happen: it has used the buffer once, stops, and uses it again. */
import { type AccessResult, DmaFence, type Framework, type Op, type Scheduler, until } from "@dma-buf/core";
import type { Command, GpuJob } from "@dma-buf/importer-gpu";
import * as v from "valibot";
import type { Acts } from "../actor.js";
import { NotApplicable } from "../actor.js";
import type { Stage } from "../stage.js";
import type { GpuSeat } from "./gpu.js";

const BYTES = 64;

export const jobActions = {
  /**
   * Queues a job that reads the first bytes of the buffer, waits to be told, and then `does` the same or writes them. Ends when it
   * waits. `lists`: does the submission name the buffer? `ends`: does the job's fence ever signal?
   */
  "start-job": v.strictObject({
    lists: v.optional(v.boolean(), true),
    does: v.optional(v.picklist(["read", "write"]), "write"),
    ends: v.optional(v.boolean(), true),
  }),
  /** Lets the job go on, and ends with its access. It takes its time: everybody else has come as far as they can. */
  "let-job-go-on": v.strictObject({}),
  /** How that access ended. */
  "look-at-job": v.strictObject({}),
};

interface Started {
  readonly job: GpuJob;
  readonly gate: DmaFence;
  /** `null`: it reads. */
  readonly writes: Uint8Array | null;
}

export function jobActs(stage: Stage, seat: GpuSeat): Acts<typeof jobActions> {
  const { framework, judge } = stage;
  let started: Started | null = null;
  const running = (): Started => {
    if (!started) throw new NotApplicable(`${seat.player.name} has no job: start one`);
    return started;
  };
  return {
    *"start-job"({ lists, does, ends }) {
      const gate = fence(framework, "gate");
      const writes = does === "write" ? judge.pattern(BYTES) : null;
      const commands: readonly Command[] = [
        reading,
        { do: "wait", fence: gate },
        writes ? { do: "write", va: 0, bytes: writes } : reading,
        ...(ends ? [] : [{ do: "wait", fence: fence(framework, "never") } as const]),
      ];
      const job = yield* seat.player.submit({ vm: seat.vm, buffers: lists ? seat.listed : [], commands });
      started = { job, gate, writes };
      yield* nobodyElse(stage.scheduler);
    },
    *"let-job-go-on"() {
      const { job, gate } = running();
      yield* nobodyElse(stage.scheduler);
      gate.signal();
      yield* until(
        "gpu.job",
        () => job.results.length > 1,
        () => "the job's access",
      );
    },
    *"look-at-job"() {
      yield* nobodyElse(stage.scheduler);
      const { job, writes } = running();
      const result = job.results[1];
      if (!result) throw new NotApplicable("the job has not gone on: let it");
      const { content } = stage.exported(seat.imported);
      const bytes = writes ?? content.read(0, BYTES);
      if (stage.isTaken && isOwnFault(result, seat)) return judge.good(stopped(seat));
      const met = { content, offset: 0, bytes, isTaken: stage.isExcused, via: seat.via(0) };
      judge.access(seat.player.name, writes ? "wrote" : "read", result, met);
    },
  };
}

const reading = { do: "read", va: 0, sizeBytes: BYTES } as const;

/** Nobody but the test signals it. */
function fence({ env }: Framework, what: string): DmaFence {
  const ops = { driverName: () => "user", timelineName: () => what };
  return new DmaFence(env, ops, env.allocContexts(1), 1);
}

/** Modelled time passes when nobody can go on, and not before. */
function nobodyElse(scheduler: Scheduler): Op<void> {
  return until(
    "gpu.job",
    () => false,
    () => "everybody else",
    scheduler.now + 1,
  );
}

/** It did not come as far as the bus. */
function isOwnFault(result: AccessResult, { vm }: GpuSeat): boolean {
  return result.kind === "fault" && result.by === vm.name;
}

function stopped({ vm }: GpuSeat) {
  const text = `the page table of ${vm.name} leads nowhere: the job faults before it reaches the bus`;
  return { kind: "device", id: "I2", text } as const;
}
