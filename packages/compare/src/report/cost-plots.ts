/** How costs grow with the size of a buffer: what `docs/costs.md` counts, drawn. */
import { chart, type Series } from "./chart.js";
import { COST_ROWS } from "./cost-rows.js";
import { groupBy } from "./group-by.js";
import { html, type Markup } from "./markup.js";
import { countText, sizeText } from "./units.js";

interface CostRow {
  readonly importer: string;
  readonly backing: string;
  readonly sizeBytes: number;
  readonly contract: string;
  readonly asked: number;
  readonly locked: number;
  readonly keptBytes: number;
}

const METRICS = [
  { field: "asked", title: "exporter asked", text: countText },
  { field: "locked", title: "reservation locked", text: countText },
  { field: "keptBytes", title: "bytes kept", text: sizeText },
] as const;

const BACKINGS = [
  { backing: "bar", title: "One BAR, in one piece" },
  { backing: "ram", title: "RAM, no two pages in a row" },
] as const;

/** One mark and colour each, the same in all plots. */
const STYLE: readonly string[] = ["dma-address", "vma", "pfn", "pfn-locked", "annotated-address", "linux-7.3"];

export function costPlots(): Markup {
  const rows = parse(COST_ROWS);
  return html`${BACKINGS.map(({ backing, title }) => html`<h3>${title}</h3><div class="plots">${plotsOf(rows.filter((r) => r.backing === backing))}</div>`)}`;
}

function plotsOf(rows: readonly CostRow[]): readonly Markup[] {
  return [...groupBy(rows, (r) => r.importer)].flatMap(([importer, own]) =>
    METRICS.map(({ field, title, text }) =>
      chart({ title: `${importer}: ${title}`, series: seriesOf(own, field), xText: sizeText, yText: text }),
    ),
  );
}

/** Contracts that cost the same are one line. */
function seriesOf(rows: readonly CostRow[], field: (typeof METRICS)[number]["field"]): readonly Series[] {
  const curves = [...groupBy(rows, (r) => r.contract)].map(([contract, own]) => ({
    contract,
    points: own.map((r) => ({ x: r.sizeBytes, y: r[field] })),
  }));
  return [...groupBy(curves, (c) => JSON.stringify(c.points)).values()].map((same) => {
    const [{ contract, points }] = same as [(typeof curves)[0]];
    return { name: same.map((c) => c.contract).join(", "), style: Math.max(STYLE.indexOf(contract), 0), points };
  });
}

function parse(text: string): readonly CostRow[] {
  const [head = "", ...lines] = text.split("\n");
  const fields = head.split(" ");
  return lines.map((line) => {
    const values = line.split(" ");
    const of = (field: string): string => values[fields.indexOf(field)] ?? "";
    return {
      importer: of("importer"),
      backing: of("backing"),
      contract: of("contract"),
      sizeBytes: Number(of("sizeBytes")),
      asked: Number(of("asked")),
      locked: Number(of("locked")),
      keptBytes: Number(of("keptBytes")),
    };
  });
}
