/** What the kit tries that no single row says. */
export interface KitCase {
  /** Behind the id of the contract, or of a row: `no-memory`. */
  readonly name: string;
  run(): Outcome;
}

/** What was tried, with counts, and what broke. */
export interface Outcome {
  readonly title: string;
  readonly breaches: readonly string[];
}
