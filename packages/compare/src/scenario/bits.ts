/** How wide an address is, as people write it: `44 bit`. */
import * as v from "valibot";

const RULE = "a number of bits, as in 44 bit, from 1 to 64";

/** Bits come out. */
export const bits = v.pipe(
  v.string(RULE),
  v.regex(/^([1-9]|[1-5]\d|6[0-4]) bit$/, RULE),
  v.transform((text) => Number.parseInt(text, 10)),
);
