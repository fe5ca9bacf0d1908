/** The way from a field of a YAML file to its line. */
import type { Document, LineCounter } from "yaml";
import { yaml } from "../yaml.js";
import { ScenarioError } from "./error.js";
import type { Position } from "./scenario.js";

export type Path = readonly (string | number)[];

/** A file that was parsed. */
export class SourceMap {
  readonly value: unknown;
  readonly #file: string;
  readonly #lines: LineCounter;
  readonly #document: Document;

  /** @throws ScenarioError when the text is no YAML */
  constructor(text: string, file: string) {
    this.#file = file;
    const { LineCounter, parseDocument } = yaml();
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines });
    const [error] = this.#document.errors;
    if (error) throw new ScenarioError(this.#at(error.pos[0]), "", `YAML: ${withoutPlace(error.message)}`);
    this.value = this.#resolved();
  }

  /** An alias of nothing, or of too much, is found only here. */
  #resolved(): unknown {
    try {
      return this.#document.toJS();
    } catch (error) {
      throw new ScenarioError(this.#at(0), "", `YAML: ${withoutPlace((error as Error).message)}`);
    }
  }

  /** Where `path` stands; where it is missing, what it should be in. */
  position(path: Path): Position {
    for (let length = path.length; length >= 0; length--) {
      const offset = this.#offset(path.slice(0, length));
      if (offset !== null) return this.#at(offset);
    }
    return this.#at(0);
  }

  error(path: Path, expected: string): ScenarioError {
    return new ScenarioError(this.position(path), path.join("."), expected);
  }

  /** Of a field its name, of an item of a list itself. */
  #offset(path: Path): number | null {
    const { isMap, isNode, isPair } = yaml();
    const parent = path.length > 0 ? this.#document.getIn(path.slice(0, -1), true) : null;
    const last = path.at(-1);
    if (isMap(parent)) {
      const pair = parent.items.find((p) => isPair(p) && isNode(p.key) && String(p.key) === String(last));
      const key = pair?.key;
      return isNode(key) ? (key.range?.[0] ?? null) : null;
    }
    const node = path.length === 0 ? this.#document.contents : this.#document.getIn(path, true);
    return isNode(node) ? (node.range?.[0] ?? null) : null;
  }

  #at(offset: number): Position {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line: Math.max(line, 1), column: Math.max(col, 1) };
  }
}

function withoutPlace(message: string): string {
  return message.split("\n")[0]?.replace(/ at line \d+, column \d+:$/, "") ?? message;
}
