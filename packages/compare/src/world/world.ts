/** One run of one scenario: a fresh machine, the actors on it, and the steps as operations. */
import { BugSignal, DmaBufError, Framework, type Op, type Scheduler, type TableMemory, type Task } from "@dma-buf/core";
import { Machine, type MachineDevice } from "@dma-buf/machine";
import type { Binding } from "../binding.js";
import type { Column } from "../column.js";
import { Judge } from "../judge.js";
import type { ActorSpec, Scenario, Step } from "../scenario/scenario.js";
import { type Actor, type Exported, type ExporterActor, NotApplicable } from "./actor.js";
import { exporterKinds, importerKinds } from "./kinds.js";
import { platform } from "./platform.js";
import { machineOptions, placesOf } from "./topology.js";
import type { Cast, Stage } from "./stage.js";
import { TrustedIo } from "./trusted-io.js";

export interface WorldOptions {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly binding: Binding;
  readonly cast: Cast;
  /** Does the root complex forward, in this run? */
  readonly forwards: boolean;
  readonly trace: boolean;
  /** Of the run before, whose machine is over. */
  readonly usedTables?: TableMemory | null;
}

export class World implements Stage {
  readonly scenario: Scenario;
  readonly column: Column;
  readonly cast: Cast;
  readonly binding: Binding;
  readonly scheduler: Scheduler;
  readonly framework: Framework;
  readonly machine: Machine;
  readonly judge: Judge;
  readonly trustedIo: TrustedIo;
  readonly #devices: readonly string[];
  readonly #exporter: ExporterActor;
  readonly #importers = new Map<string, Actor>();
  /** Tasks whose step is the question itself. */
  readonly #answering = new Set<Task | null>();
  #devicesGiven = 0;
  isTaken = false;

  constructor(scheduler: Scheduler, options: WorldOptions) {
    const { scenario, column, binding, cast } = options;
    this.scenario = scenario;
    this.column = column;
    this.binding = binding;
    this.cast = cast;
    this.scheduler = scheduler;
    const debug = scenario.topology.modifiers["debug"] === "on";
    this.framework = new Framework({ contract: column.contract, scheduler, trace: options.trace, debug });
    this.machine = new Machine({
      topology: binding.topology,
      trace: this.framework.trace,
      ...machineOptions(scenario, binding.devices),
      rootComplexForwards: options.forwards,
      tablesMax: 64,
      usedTables: options.usedTables ?? null,
    });
    this.judge = new Judge(this.framework, this.machine, binding);
    this.trustedIo = new TrustedIo(this.machine, this.judge, String(scenario.topology.modifiers["vm"]));
    this.#devices = binding.devices;
    this.#exporter = this.#create(exporterKinds, scenario.exporter);
    for (const spec of scenario.importers) this.#importers.set(spec.name, this.#create(importerKinds, spec));
    this.judge.begin();
  }

  nextDevice(): MachineDevice {
    const address = this.#devices[this.#devicesGiven++];
    if (address === undefined) throw new RangeError(`${this.scenario.id} has more devices than ${this.binding.text}`);
    return this.machine.device(address);
  }

  deviceOf(importer: string): MachineDevice {
    const { importers } = this.scenario;
    const before = importers.slice(
      0,
      importers.findIndex((spec) => spec.name === importer),
    );
    return this.machine.device(this.#devices[before.flatMap(placesOf).length] as string);
  }

  exported(name: string): Exported {
    return this.#exporter.exported(name);
  }

  get isExcused(): boolean {
    return this.isTaken && !this.#answering.has(this.scheduler.current);
  }

  setTaken(taken: boolean): void {
    this.isTaken = taken;
  }

  /** Runs the steps, takes everything down again, and lets the judge count what is left. */
  *run(): Op<void> {
    try {
      yield* this.#setUp();
      yield* this.#all(this.scenario.steps);
    } catch (error) {
      this.#ended(error);
    }
    for (const importer of this.#importers.values()) yield* importer.close();
    yield* this.#exporter.close();
    this.judge.countLeftovers();
  }

  /** Without these there is no question. */
  *#setUp(): Op<void> {
    try {
      yield* this.#all(this.scenario.given);
    } catch (error) {
      if (!(error instanceof DmaBufError)) throw error;
      throw new NotApplicable(error.message, { cause: error });
    }
  }

  #ended(error: unknown): void {
    if (error instanceof NotApplicable) this.#cannotBe(error);
    else if (error instanceof DmaBufError) this.judge.refused(error);
    // Its finding says what it was; the others are taken down as after any end of a task.
    else if (!(error instanceof BugSignal)) throw error;
  }

  #cannotBe({ message: text, cause }: NotApplicable): void {
    if (cause instanceof DmaBufError) this.judge.refusedGiven(cause);
    else this.judge.notApplicable({ kind: "scenario", id: this.scenario.id, text });
  }

  *#all(steps: readonly Step[]): Op<void> {
    for (const step of steps) yield* step.do === "race" ? this.#race(step.tasks) : this.#act(step);
  }

  *#act({ actor, action, args, isAnswer }: Step & { do: "act" }): Op<void> {
    const wasTaken = this.isTaken;
    const { current } = this.scheduler;
    if (isAnswer) this.#answering.add(current);
    try {
      yield* this.#actsOf(actor)[action]?.(args as never) ?? [];
    } catch (error) {
      // An importer that asks for memory that was taken away is told so: that is the contract at work.
      const isOfContract = error instanceof DmaBufError && (wasTaken || this.isTaken) && !isAnswer;
      if (!isOfContract) throw error;
      this.judge.refusedWhileTaken(actor, error);
    } finally {
      this.#answering.delete(current);
    }
  }

  #actsOf(actor: string): Readonly<Record<string, (args: never) => Op<void>>> {
    if (actor === "exporter") return this.#exporter.acts;
    if (actor === "platform") return platform(this);
    return (this.#importers.get(actor) as Actor).acts;
  }

  /** Runs tasks of their own and waits for all of them; the first error is this step's. */
  *#race(tasks: Readonly<Record<string, readonly Step[]>>): Op<void> {
    const running = Object.entries(tasks).map(([name, steps]) => this.scheduler.spawn(name, this.#all(steps)));
    yield {
      site: "race.join",
      ready: () => running.every((t) => t.state !== "runnable"),
      blockedOn: () =>
        `the end of ${running
          .filter((t) => t.state === "runnable")
          .map((t) => t.name)
          .join(", ")}`,
    };
    const failed = running.find((t) => t.state === "failed");
    if (failed) throw failed.error;
  }

  #create<P extends Actor>(
    kinds: Readonly<Record<string, { create(stage: Stage, options: never, spec: ActorSpec): P }>>,
    spec: ActorSpec,
  ): P {
    const kind = kinds[spec.kind];
    if (!kind) throw new RangeError(`nobody plays ${spec.kind}`);
    return kind.create(this, spec.options as never, spec);
  }
}
