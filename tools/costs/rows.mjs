// The counts as data, for the plots of a report: one line a run, in a template that no formatter touches.

const FIELDS = ["importer", "backing", "sizeBytes", "contract", "leaves", "tables", "asked", "locked", "keptBytes"];

/** A module with what ran; what was refused or not run is in `docs/costs.md`. */
export function rowsModule(counted) {
  const lines = Object.entries(counted).flatMap(([backing, sections]) =>
    sections.flatMap(({ importer, rows }) =>
      rows.filter((row) => row.use).map((row) => lineOf(importer.name.replace("importer-", ""), backing, row)),
    ),
  );
  return `// Written by \`npm run docs\`: what docs/costs.md counts, as data.
export const COST_ROWS = \`${[FIELDS.join(" "), ...lines].join("\n")}\`;
`;
}

function lineOf(importer, backing, { sizeBytes, variant, leaves, tables, keptBytes, use, revoke, close }) {
  const sum = (name) => [use, revoke, close].reduce((n, phase) => n + (phase?.[name] ?? 0), 0);
  const ends = [...leaves.values()].reduce((a, b) => a + b);
  return [importer, backing, sizeBytes, variant, ends, tables, sum("asked"), sum("locked"), keptBytes].join(" ");
}
