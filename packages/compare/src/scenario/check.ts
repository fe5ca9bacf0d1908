/** Holds a value of a file against a schema; the first mistake is told with its line. */
import * as v from "valibot";
import type { Path, SourceMap } from "./source-map.js";

export function check<S extends v.GenericSchema>(
  source: SourceMap,
  path: Path,
  schema: S,
  value: unknown,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const inner = (issue.path ?? []).map((item) => item.key as string | number);
  throw source.error([...path, ...inner], explain(issue));
}

function explain(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object" && issue.expected === "never") return `there is no such field here: leave it out`;
  if (issue.received === "undefined" && issue.type !== "custom") return "is missing";
  if (issue.type === "strict_object" || issue.type === "object_with_rest")
    return `must be a map of fields, is ${issue.received}`;
  return `must be ${issue.message.startsWith("Invalid") ? (issue.expected ?? "something else") : issue.message}, is ${issue.received}`;
}
