/** Who plays in a scenario: what an actor can be told, and what it does then. */
import type { DmaBuf, Op } from "@dma-buf/core";
import type * as v from "valibot";
import type { ActorSpec } from "../scenario/scenario.js";
import type { Actions } from "../scenario/steps.js";
import type { Content } from "./content.js";
import type { Stage } from "./stage.js";

/** What an actor does, by action. Each sleeps, and throws a `DmaBufError` where it is refused. */
export type Acts<A extends Actions> = { readonly [K in keyof A]: (args: v.InferOutput<A[K]>) => Op<void> };

/** One actor in one run. */
export interface Actor<A extends Actions = Actions> {
  readonly acts: Acts<A>;
  /** Gives back everything that it took. After it, what is still out is a leak. */
  close(): Op<void>;
}

/** A buffer, and where its bytes are. */
export interface Exported {
  readonly buf: DmaBuf;
  readonly content: Content;
}

/** An exporter besides keeps what it exported, by the name that steps give it. */
export interface ExporterActor<A extends Actions = Actions> extends Actor<A> {
  /** @throws NotApplicable when nothing of that name was exported */
  exported(name: string): Exported;
}

/** A kind of exporter or importer: `kind` in a scenario's file. */
export interface ActorKind<O extends v.GenericSchema, A extends Actions, Played extends Actor<A> = Actor<A>> {
  /** What may stand beside `kind`, `name` and `class`. */
  readonly options: O;
  readonly actions: A;
  /** Options whose value is an importer's name: it must be one that plays. */
  readonly namesImporter?: readonly string[];
  /** The npm package that plays; `null`: the kind itself, on the machine. */
  readonly package: string | null;
  create(stage: Stage, options: v.InferOutput<O>, spec: ActorSpec): Played;
}

/** Of any options and actions: what a registry holds. */
// biome-ignore lint/suspicious/noExplicitAny: the schema that stands beside it has checked what comes in
export type AnyKind<Played extends Actor<any> = Actor<any>> = ActorKind<any, any, Played>;

/** Keeps the types of options and actions together. */
export function importerKind<O extends v.GenericSchema, A extends Actions>(kind: ActorKind<O, A>): ActorKind<O, A> {
  return kind;
}

export function exporterKind<O extends v.GenericSchema, A extends Actions>(
  kind: ActorKind<O, A, ExporterActor<A>>,
): ActorKind<O, A, ExporterActor<A>> {
  return kind;
}

/** The situation cannot be built under this contract: the cell is `NA`. */
export class NotApplicable extends Error {
  override readonly name = "NotApplicable";
}
