/** Which of a cell's two verdicts its blame is about. */
import type { Result } from "../result.js";

/** Who conforms is fine: to blame is what was posted. */
export function isPostedBlamed({ conforming, blame }: Result): boolean {
  return conforming.verdict === "OK" && blame !== "none";
}
