/** A trace as a sequence diagram: a table whose middle column draws the lanes, so that it can be read aloud and printed. */
import type { TraceEvent } from "@dma-buf/core";
import { type Lane, type LaneRow, lanesOf } from "./lanes.js";
import { html, type Markup } from "./markup.js";
import { plural } from "./units.js";

/** Between two lanes, pixels. */
const LANE = 18;
/** Where in a row the event is drawn, from its top. */
const AT = 11;
/** How long a lane's name may be in the head, characters. */
const NAME_MAX = 19;
const HEAD = 112;
/** Of a trace that is too long to draw whole. */
const [ROWS_FIRST, ROWS_LAST] = [120, 180];

export function sequence(trace: readonly TraceEvent[]): Markup {
  const { lanes, rows } = lanesOf(trace);
  const width = lanes.length * LANE;
  const draw = (from: number, to: number): readonly Markup[] =>
    rows.slice(from, to).map((row, i) => line(row, rows[from + i - 1] ?? null, lanes, width));
  return html`<table class="seq">
<thead><tr><th scope="col">step</th><th scope="col" style="width:${width + 8}px">${head(lanes, width)}</th><th scope="col">event</th></tr></thead>
<tbody>${shortened(rows.length, draw)}</tbody></table>`;
}

/** The beginning and the end, where there is too much between: what decides is near the end. */
function shortened(length: number, draw: (from: number, to: number) => readonly Markup[]): readonly Markup[] {
  const left = length - ROWS_FIRST - ROWS_LAST;
  if (left <= 0) return draw(0, length);
  const gap = html`<tr><td></td><td></td><td><em>${plural(left, "event")} left out: <code>explain</code> prints all</em></td></tr>`;
  return [...draw(0, ROWS_FIRST), gap, ...draw(length - ROWS_LAST, length)];
}

function head(lanes: readonly Lane[], width: number): Markup {
  const names = lanes.map(({ kind, name }, i) => {
    const x = center(i);
    return html`<g class="l-${kind}"><title>${kind} ${name}</title><text transform="translate(${x + 3} ${HEAD - 8}) rotate(-58)">${short(name)}</text>${symbol(kind, x, HEAD - 2)}</g>`;
  });
  // The names lean out to the right, over the next column.
  return html`<svg class="lanehead" role="img" aria-label="lanes: ${lanes.map((l) => `${l.kind} ${l.name}`).join(", ")}" width="${width}" height="${HEAD + 2}">${names}</svg>`;
}

function line(row: LaneRow, above: LaneRow | null, lanes: readonly Lane[], width: number): Markup {
  const { event } = row;
  const step = event.step === above?.event.step ? "" : event.step;
  const task = event.task === above?.event.task ? "" : event.task;
  return html`<tr class="k-${event.kind}"><td>${step}</td><td style="width:${width + 8}px"><svg aria-hidden="true" width="${width}">${tracks(row, above, lanes)}${drawn(row, lanes)}</svg></td><td><span class="task">${task}</span> <span class="kind">${event.kind}</span> ${event.text}</td></tr>`;
}

/** The lanes run on; that of a lock is thick while it is held. */
function tracks(row: LaneRow, above: LaneRow | null, lanes: readonly Lane[]): readonly Markup[] {
  return lanes.flatMap(({ kind }, i) => {
    const x = center(i);
    const before = above?.held.includes(i) ?? false;
    const after = row.held.includes(i);
    return [
      html`<line class="track l-${kind}" x1="${x}" x2="${x}" y1="0" y2="100%"/>`,
      before && html`<line class="held" x1="${x}" x2="${x}" y1="0" y2="${after ? "100%" : AT}"/>`,
      after && !before && html`<line class="held" x1="${x}" x2="${x}" y1="${AT}" y2="100%"/>`,
    ].filter((part) => part !== false);
  });
}

function drawn({ from, to }: LaneRow, lanes: readonly Lane[]): Markup {
  const x = center(from);
  const dot = html`<circle class="dot" cx="${x}" cy="${AT}" r="3.5"/>`;
  if (!to) return dot;
  const far = center(to.lane);
  const [tail, tip] = to.points === "there" ? [x, far - 5] : [far, x + 5];
  const back = tip < tail ? 5 : -5;
  const arrow = html`<line class="arrow" x1="${tail}" x2="${tip}" y1="${AT}" y2="${AT}"/><path class="tip" d="M${tip} ${AT}l${back} -3.5v7z"/>`;
  return html`${arrow}${dot}${symbol((lanes[to.lane] as Lane).kind, far, AT)}`;
}

/** Told apart by shape: a task is round, code of a plugin a triangle, a lock a square, a fence a diamond. */
function symbol(kind: Lane["kind"], x: number, y: number): Markup {
  const shape = {
    task: `M${x - 3.5} ${y}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z`,
    plugin: `M${x - 3.5} ${y - 4}l8 4l-8 4z`,
    lock: `M${x - 3.5} ${y - 3.5}h7v7h-7z`,
    fence: `M${x} ${y - 5}l5 5l-5 5l-5 -5z`,
  }[kind];
  return html`<path class="sym" d="${shape}"/>`;
}

function center(lane: number): number {
  return lane * LANE + LANE / 2;
}

function short(name: string): string {
  const bare = name.replaceAll("0000:", "").replace(/^resv\((.*)\)$/, "$1");
  return bare.length > NAME_MAX ? `${bare.slice(0, NAME_MAX - 1)}…` : bare;
}
