/** A contract of somebody's, field by field, before anything of it runs. */
import { type Contract, ERRNO } from "@dma-buf/core";
import * as v from "valibot";
import { CALLS } from "./calls.js";
import { STAGES } from "./scenario/verdict-text.js";

/** A field, what it must be, and what it is. */
export interface Mistake {
  /** From the contract on: `policy.device`; empty: the contract itself. */
  readonly field: string;
  readonly rule: string;
  readonly value: unknown;
}

/** Where a call may refuse; scenarios do at some of them only. */
export const ROW_STAGES: readonly string[] = [...STAGES, "cpu-access", "fd", "lock", "fence"];

const text = v.string("a text");
const oneOf = (values: readonly string[]) => v.picklist(values, `one of ${values.join(", ")}`);
const call = oneOf(CALLS);
const calls = v.array(call, `a list of calls: ${CALLS.join(", ")}`);
const errno = oneOf(Object.keys(ERRNO));

const row = v.strictObject(
  {
    id: text,
    party: oneOf(["exporter", "importer", "framework", "file"]),
    stage: oneOf(ROW_STAGES),
    does: text,
    presence: oneOf(["mandatory", "optional"]),
    pairedWith: v.optional(call),
    resv: oneOf(["held", "free", "either"]),
    inside: oneOf(["leaves", "takes", "may-take"]),
    maySleep: v.boolean("true or false"),
    owner: text,
    errors: v.record(errno, text, "a map from an errno to its cause"),
    findings: v.array(text, "a list of texts"),
    kernelName: v.record(v.string(), text, "a map from a kernel version to a name"),
    source: text,
  },
  "a row",
);

const policy = v.strictObject(
  {
    device: oneOf(["always", "unless-no-map", "for-mapping", "optional"]),
    bridgeStatic: oneOf(["at-attach", "at-map"]),
    invalidate: oneOf(["mandatory", "optional"]),
    drain: v.array(oneOf(["fences", "unmap"]), "a list of fences, unmap"),
    backing: v.pipe(calls, v.minLength(1, "one call at least")),
    cacheSgtMapping: v.boolean("true or false"),
    moveNotifyOption: v.boolean("true or false"),
  },
  "an object",
);

const schema = v.strictObject(
  {
    id: v.pipe(v.string("letters, digits, dots and dashes"), v.regex(/^[\w.-]+$/, "letters, digits, dots and dashes")),
    title: text,
    base: text,
    rows: v.record(call, row, "an object"),
    lifeCycle: v.strictObject({ attached: calls, mapped: calls, detached: v.optional(calls) }, "an object"),
    policy,
    defects: v.array(v.strictObject({ id: text, what: text, source: text }, "an object"), "a list"),
    open: v.function("a generator function"),
  },
  "a contract made by defineContract()",
);

/** The first mistake; `null`: there is none. */
export function mistakeIn(contract: unknown): Mistake | null {
  const { success, issues } = v.safeParse(schema, contract);
  if (!success) return mistakeOf(issues[0]);
  const { rows, policy: checked } = contract as Contract;
  const at = checked.backing.findIndex((name) => !rows[name]);
  if (at === -1) return null;
  return { field: `policy.backing.${at}`, rule: "a call that has a row in this contract", value: checked.backing[at] };
}

function mistakeOf(issue: v.BaseIssue<unknown>): Mistake {
  const path = issue.path ?? [];
  const field = path.map((item) => String(item.key)).join(".");
  const isUnknown = issue.type === "strict_object" && issue.expected === "never";
  const isMissing = issue.type === "strict_object" && !isUnknown && path.length > 0 && issue.received === "undefined";
  if (isUnknown) return { field, rule: "left out: there is no such field here", value: path.at(-1)?.value };
  if (isMissing) return { field, rule: "given", value: undefined };
  return { field, rule: issue.message, value: issue.input };
}
