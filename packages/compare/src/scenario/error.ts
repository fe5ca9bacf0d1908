/** A mistake in a file of somebody's, with where it stands and what was expected there. */
import type { Position } from "./scenario.js";

export class ScenarioError extends Error {
  override readonly name = "ScenarioError";
  readonly position: Position;
  /** The path of the field: `cells.pfn.conforming`. */
  readonly field: string;

  /** @param expected what the field must be, and what it is */
  constructor(position: Position, field: string, expected: string) {
    super(`${position.file}:${position.line}:${position.column}: ${field || "the file"}: ${expected}`);
    this.position = position;
    this.field = field;
  }
}
