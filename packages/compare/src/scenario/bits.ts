/** How wide an address is, as people write it: `44 bit`. */
import * as v from "valibot";

const RULE = "a number of bits, as in 44 bit";

/** Bits come out. */
export const bits = v.pipe(
  v.string(RULE),
  v.regex(/^\d+ bit$/, RULE),
  v.transform((text) => Number.parseInt(text, 10)),
);
