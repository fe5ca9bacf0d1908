// docs/page-tables.md: what each format is, and one walk through it, drawn by the code that walks.
import { addr } from "@dma-buf/core";
import { createPageTable, createTableMemory, drawWalk, formats } from "@dma-buf/page-table";

const LARGE = 2 ** 21;
// One call maps a large leaf and pages behind it. The address is above what the first root of AMD covers: it grows.
const [VA, PHYSICAL] = [0x123_4560_0000, 0x6050_0020_0000];

/** @returns {Record<string, string>} the page, by its path */
export function walkPages() {
  return { "docs/page-tables.md": `${INTRODUCTION}\n${formats.map(section).join("\n")}` };
}

function section(format) {
  return `## ${format.title}

${facts(format)}

\`\`\`text
${drawn(format, VA + LARGE + 0x1234, "read")}
\`\`\`

\`\`\`text
${drawn(format, VA + 0x1234, "read")}
\`\`\`
`;
}

function drawn(format, va, access) {
  const memory = createTableMemory({ basePhys: addr(0x1000_0000), sizeBytes: 16 * 4096 });
  const table = createPageTable(format, memory);
  const physical = PHYSICAL % 2 ** format.oaBits;
  table.map(VA, addr(physical), LARGE + 4 * 4096, { read: true, write: true, cache: "uc" });
  return drawWalk(format, table.levels, va, table.translate(va, access));
}

function facts({ levels, levelsMax = levels, vaBits, oaBits, leafSizesLog2, memoryTypes, accessed, dirty, source }) {
  const rows = {
    levels: levelsMax > levels ? `${levels}, up to ${levelsMax}` : levels,
    "address bits": `${vaBits} in, ${oaBits} out`,
    "leaf sizes": sizes(leafSizesLog2),
    "memory types": memoryTypes.join(", ") || "none",
    "set by hardware":
      [accessed && `accessed ${bitOf(accessed)}`, dirty && `dirty ${bitOf(dirty)}`].filter(Boolean).join(", ") ||
      "nothing",
    source,
  };
  return Object.entries(rows)
    .map(([name, value]) => `- ${name}: ${value}`)
    .join("\n");
}

function sizes(log2) {
  const text = (n) => `${2 ** (n % 10)} ${["B", "KiB", "MiB", "GiB", "TiB", "PiB"][Math.floor(n / 10)]}`;
  const [first, last] = [log2[0], log2.at(-1)];
  const missing = Array.from({ length: last - first }, (_, i) => first + i).filter((n) => !log2.includes(n));
  if (missing.length > 3) return log2.map(text).join(", ");
  return `every power of two from ${text(first)} to ${text(last)}, but ${missing.map(text).join(", ")}`;
}

function bitOf(flag) {
  return `(bit ${flag.toString(2).length - 1})`;
}

const INTRODUCTION = `# Page tables

Written by \`npm run docs\` from the formats of [\`@dma-buf/page-table\`](../packages/page-table): what you see is what the
package's walk read from the table that its engine had written. Each section has two walks through what one
call mapped, 2 MiB and four pages: the first ends behind the large leaf, the second in it.

Levels count from 0, the lowest. Each line is one entry as hardware reads it: the table's address in memory, the index, all
64 bits, and what they say. A walk adds the leaf's address and what is left of the input address.
`;
