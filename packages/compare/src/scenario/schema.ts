/** What a scenario's file must look like. Steps, and the options of actors, are checked by the kinds that play them. */
import * as v from "valibot";
import { CALLS } from "../calls.js";
import { BASES, BLAMES } from "../result.js";
import { modifierEntries } from "./modifiers.js";
import { parseVerdict, VERDICT_RULE } from "./verdict-text.js";

const text = v.pipe(v.string("a text"), v.nonEmpty("a text that is not empty"));
const oneOf = <const T extends readonly string[]>(...values: T) => v.picklist(values, `one of ${values.join(", ")}`);

const verdict = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const parsed = parseVerdict(dataset.value);
    if (parsed) return parsed;
    addIssue({ message: VERDICT_RULE });
    return NEVER;
  }),
);

const cell = v.strictObject({
  asPosted: v.optional(verdict),
  by: v.optional(text),
  conforming: verdict,
  blame: v.picklist(BLAMES, `one of ${BLAMES.join(", ")}`),
  basis: v.picklist(BASES, `one of ${BASES.join(", ")}`),
  rule: v.optional(text),
  why: v.optional(text),
  contested: v.optional(text),
});

const topology = v.strictObject({
  ...modifierEntries,
  base: oneOf("T1", "T2", "T4"),
  offset: v.optional(oneOf("zero", "nonzero"), "zero"),
  acs: v.optional(oneOf("clear", "redirect"), "clear"),
  forwards: v.optional(oneOf("yes", "no", "unknown"), "unknown"),
  allowlisted: v.optional(oneOf("yes", "no"), "no"),
  iommu: v.optional(oneOf("off", "identity", "translated"), "off"),
  flush: v.optional(oneOf("strict", "lazy"), "strict"),
});

const options = v.record(v.string(), v.unknown());
/** Read by `steps.ts`, which knows the actors. */
const steps = v.array(v.unknown(), "a list of steps");

const actor = v.objectWithRest(
  {
    kind: text,
    name: v.optional(text),
    class: v.optional(oneOf("zap", "fenced", "faulting", "pinned", "pinned-revocable", "static")),
  },
  v.unknown(),
);

export const scenarioFile = v.strictObject({
  id: v.pipe(text, v.regex(/^[A-Za-z][\w-]*$/, "an id: a letter, then letters, digits, - or _")),
  title: text,
  question: text,
  source: text,
  order: v.optional(v.pipe(v.number("a number"), v.integer("a whole number"))),
  topology,
  exporter: actor,
  importers: v.array(actor, "a list of importers"),
  fault: v.optional(
    v.strictObject({
      party: oneOf("exporter", "importer"),
      what: text,
      breaks: v.optional(
        v.array(v.picklist(CALLS, `one of ${CALLS.join(", ")}`), "a list of calls, as in a contract's rows"),
      ),
    }),
  ),
  invariants: v.optional(v.array(v.pipe(text, v.regex(/^I([1-9]|10)$/, "an invariant, I1 to I10"))), []),
  note: v.optional(text),
  /** How older kernels ended. */
  history: v.optional(v.array(v.strictObject({ contract: text, verdict: text, why: text }))),
  sideEffect: v.optional(v.record(v.string(), text)),
  given: v.optional(steps, []),
  steps,
  readings: v.optional(
    v.array(
      v.strictObject({
        name: text,
        exporter: v.optional(options),
        importers: v.optional(v.record(v.string(), options)),
        steps: v.optional(steps),
        contracts: v.optional(v.array(text)),
        posted: v.optional(v.boolean(), true),
      }),
    ),
    [],
  ),
  unbuildable: v.optional(v.record(v.string(), text), {}),
  cells: v.optional(v.record(v.string(), cell), {}),
});

export type ScenarioFile = v.InferOutput<typeof scenarioFile>;
