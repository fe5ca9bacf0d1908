/** Ids of contracts above narrow columns: broken after a hyphen, and never cut. */

/** Of a longer word the rest goes below. */
const PART = /.{1,12}/g;

/** The id whole where it fits, else its parts, as many to a line as fit. */
export function idParts(id: string, width: number): string[] {
  if (id.length <= width) return [id];
  const lines: string[] = [];
  for (const part of splitId(id)) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + part.length <= width) lines[lines.length - 1] = line + part;
    else lines.push(part);
  }
  return lines;
}

/** What a column needs at least for its head. */
export function longestPart(id: string): number {
  return Math.max(...splitId(id).map((part) => part.length));
}

function splitId(id: string): string[] {
  return id.split(/(?<=-)/).flatMap((part) => part.match(PART) ?? []);
}
