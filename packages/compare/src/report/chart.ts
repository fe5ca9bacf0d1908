/** Small line charts whose axes are both logarithmic. Lines are told apart by their marks and by their names beside them. */
import { html, type Markup } from "./markup.js";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Series {
  readonly name: string;
  /** Which mark and colour: 0 to 5. */
  readonly style: number;
  /** By x. Each y is 1 or more. */
  readonly points: readonly Point[];
}

export interface Chart {
  readonly title: string;
  readonly series: readonly Series[];
  readonly xText: (x: number) => string;
  readonly yText: (y: number) => string;
}

/** The plot, and what lies around it, pixels. */
const PLOT = { left: 46, top: 22, width: 150, height: 104 };
const NAMES_WIDTH = 142;
const BELOW = 22;
/** Between names, pixels. */
const NAME_HEIGHT = 11;
/** In a line of names, characters. */
const NAME_MAX = 24;

/** From a value to its place. */
type Scale = (value: number) => number;

export function chart({ title, series, xText, yText }: Chart): Markup {
  const points = series.flatMap((s) => s.points);
  const xs = [...new Set(points.map((p) => p.x))].toSorted((a, b) => a - b);
  const ticks = ticksOf(points.map((p) => p.y));
  const x = scale(xs[0] as number, xs.at(-1) as number, PLOT.left, PLOT.left + PLOT.width);
  const y = scale(ticks[0] as number, ticks.at(-1) as number, PLOT.top + PLOT.height, PLOT.top);
  const [width, height] = [PLOT.left + PLOT.width + NAMES_WIDTH, PLOT.top + PLOT.height + BELOW];
  const label = `${title}: ${series.map((s) => `${s.name} from ${yText(first(s).y)} to ${yText(last(s).y)}`).join("; ")}`;
  return html`<svg class="chart" role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}">
<text class="ct" x="0" y="11">${title}</text>
${ticks.map((t) => html`<line class="grid" x1="${PLOT.left}" x2="${PLOT.left + PLOT.width}" y1="${y(t)}" y2="${y(t)}"/><text class="ty" x="${PLOT.left - 5}" y="${y(t) + 3}">${yText(t)}</text>`)}
${ends(xs).map((t) => html`<text class="tx" x="${x(t)}" y="${height - 8}">${xText(t)}</text>`)}
${series.map((s) => curve(s, x, y))}${names(series, x, y)}</svg>`;
}

/** One logarithm to its place. All values alike lie in the middle. */
function scale(from: number, to: number, start: number, end: number): Scale {
  const span = Math.log(to) - Math.log(from);
  return (value) =>
    round(span === 0 ? (start + end) / 2 : start + ((Math.log(value) - Math.log(from)) / span) * (end - start));
}

/** Powers around all values, at most five of them. */
function ticksOf(values: readonly number[]): readonly number[] {
  const base = Math.max(...values) >= 4096 && Math.min(...values) >= 16 ? 2 : 10;
  const low = Math.floor(Math.log(Math.min(...values)) / Math.log(base) + 1e-9);
  const high = Math.max(Math.ceil(Math.log(Math.max(...values)) / Math.log(base) - 1e-9), low + 1);
  const step = Math.ceil((high - low) / 4);
  const count = Math.ceil((high - low) / step);
  return Array.from({ length: count + 1 }, (_, i) => base ** (low + i * step));
}

/** The first, the last, and one between. */
function ends(xs: readonly number[]): readonly number[] {
  return [...new Set([xs[0] as number, xs[Math.floor((xs.length - 1) / 2)] as number, xs.at(-1) as number])];
}

function curve({ points, style }: Series, x: Scale, y: Scale): Markup {
  const line = points.map((p) => `${x(p.x)},${y(p.y)}`).join(" ");
  return html`<g class="s${style}"><polyline points="${line}"/>${points.map((p) => html`<path d="${mark(style, x(p.x), y(p.y))}"/>`)}</g>`;
}

/** Beside the last point of each line, and lower where another name stands already. */
function names(series: readonly Series[], x: Scale, y: Scale): readonly Markup[] {
  let free = PLOT.top;
  return [...series]
    .toSorted((a, b) => last(b).y - last(a).y)
    .map((s) => {
      const lines = wrapped(s.name);
      const end = { x: x(last(s).x), y: y(last(s).y) };
      const at = Math.max(end.y, free);
      free = at + lines.length * NAME_HEIGHT;
      const left = PLOT.left + PLOT.width + 16;
      const leader = html`<path class="leader" d="M${end.x + 4} ${end.y}L${left - 3} ${at}"/>`;
      const texts = lines.map((line, i) => html`<tspan x="${left}" y="${at + 3 + i * NAME_HEIGHT}">${line}</tspan>`);
      return html`<g class="s${s.style}">${leader}<text class="name">${texts}</text></g>`;
    });
}

/** Several names, as many a line as have room. */
function wrapped(name: string): readonly string[] {
  return name
    .split(", ")
    .reduce<string[]>((lines, part) => {
      const before = lines.at(-1);
      if (before === undefined || before.length + part.length + 2 > NAME_MAX) return [...lines, part];
      return [...lines.slice(0, -1), `${before}, ${part}`];
    }, [])
    .map((line, i, lines) => (i < lines.length - 1 ? `${line},` : line));
}

function mark(style: number, x: number, y: number): string {
  const shapes = [
    `M${x - 3} ${y}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0z`,
    `M${x - 3} ${y - 3}h6v6h-6z`,
    `M${x} ${y - 4}l4 7h-8z`,
    `M${x} ${y - 4}l4 4l-4 4l-4 -4z`,
    `M${x} ${y + 4}l4 -7h-8z`,
    `M${x - 3} ${y - 3}l6 6m0 -6l-6 6`,
  ];
  return shapes[style % shapes.length] as string;
}

function first(s: Series): Point {
  return s.points[0] as Point;
}

function last(s: Series): Point {
  return s.points.at(-1) as Point;
}

function round(n: number): number {
  return Math.round(n * 10) / 10;
}
