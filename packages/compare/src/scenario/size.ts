/** Sizes as people write them: `4 KiB`. */
import * as v from "valibot";

const UNITS: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };

/** A number of bytes, or one with a unit; bytes come out. */
export const size = v.pipe(
  v.union([v.number(), v.string()], "a size: a number of bytes, or one with a unit, as in 4 KiB"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const bytes = typeof dataset.value === "number" ? dataset.value : bytesOf(dataset.value);
    if (bytes !== null && Number.isSafeInteger(bytes) && bytes >= 0) return bytes;
    addIssue({ message: "a size: a number of bytes, or one with a unit, as in 4 KiB" });
    return NEVER;
  }),
);

function bytesOf(text: string): number | null {
  const [, digits, unit = ""] = /^(\d+(?:\.\d+)?) (bytes|[KMGT]iB)$/.exec(text) ?? [];
  const scale = UNITS[unit];
  return digits && scale ? Number(digits) * scale : null;
}
