// docs/contested.md: where a run ends otherwise than the catalogue expects, and the argument.

export function contestedPage(results, verdictText) {
  const cells = results.filter((r) => r.contested);
  const line = (posted, conforming, blame) => `${verdictText(posted)} / ${verdictText(conforming)}, blame ${blame}`;
  const entries = cells.map((r) =>
    [
      `## ${r.scenario} under ${r.contract}`,
      `${r.title}. Exporter ${r.exporter}, importer ${r.importer}.`,
      `- expected: ${line(r.expected.asPosted, r.expected.conforming, r.expected.blame)} (basis: ${r.expected.basis}${r.expected.why ? `; ${r.expected.why}` : ""})`,
      `- happens: ${line(r.asPosted, r.conforming, r.blame)} (${r.rule.text})`,
      `- why we disagree: ${r.contested}`,
    ].join("\n\n"),
  );
  return `${[INTRODUCTION, `${cells.length} of ${results.length} cells.`, ...entries].join("\n\n")}\n`;
}

const INTRODUCTION = `# Contested cells

The catalogue says of each cell how it should end: as posted / conforming, and whose doing it is. Where a run ends otherwise
and we hold the run to be right, the cell keeps its expectation and carries the argument. This page is made from the
scenarios by \`npm run docs\`.`;
