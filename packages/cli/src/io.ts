/** What the command needs of the process it runs in: so that tests can be that process. */
export interface Io {
  out(text: string): void;
  err(text: string): void;
  /** Width of the terminal, or what a pipe is given. */
  readonly columns: number;
  readonly colour: boolean;
  /** Print stacks of errors? */
  readonly debug: boolean;
  /** Columns of the terminal that stderr is; not there: it is none, and nobody watches a bar grow. */
  readonly progressColumns?: number;
  /** Milliseconds, for the time a comparison took. */
  now(): number;
}
