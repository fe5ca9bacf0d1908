/** Who writes a scenario reads the page alone: it must name all that there is. */
import { readFileSync } from "node:fs";
import type * as v from "valibot";
import { describe, expect, it } from "vitest";
import type { AnyKind } from "./actor.js";
import { exporterKinds, importerKinds, platformActions } from "./kinds.js";

const page = readFileSync(new URL("../../../../docs/scenarios.md", import.meta.url), "utf8");
const names = (record: object): string =>
  Object.keys(record)
    .map((name) => `\`${name}\``)
    .join(", ");

function rowOf(kind: string, { options, actions }: AnyKind): string {
  const { entries = {} } = options as Partial<v.StrictObjectSchema<v.ObjectEntries, undefined>>;
  return `| \`${kind}\` | ${names(actions)} | ${names(entries)} |`;
}

describe.each([
  ["exporter", exporterKinds],
  ["importer", importerKinds],
] as const)("docs/scenarios.md has what each %s can do, and its options:", (_side, kinds) => {
  it.each(Object.entries(kinds))("%s", (kind, is) => expect(page).toContain(rowOf(kind, is)));
});

it("and what the platform can be told", () => {
  expect(page).toContain(`| \`platform\` | ${names(platformActions)} | |`);
});
