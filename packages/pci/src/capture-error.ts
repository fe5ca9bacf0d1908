/** A capture that cannot be used: what is wrong with it, and how to get a better one. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";
  readonly code: "EMPTY" | "BINARY" | "NO_FUNCTION" | "TRUNCATED" | "NO_BAR";
  constructor(code: CaptureError["code"], source: string, problem: string, remedy: string) {
    super(`${source}: ${problem}. ${remedy}`);
    this.code = code;
  }
}
