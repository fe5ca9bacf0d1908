// Documentation that is run: each `@example` of a package's sources and each `ts` block of its README is a test, and each
// export must have a doc comment; one that exists at run time, an example too. A value in a comment behind a statement
// (`fence.status; // 1`) is checked. Examples see the package's exports and what `scope` makes for them; imports are for
// the reader. One with `yield` runs as a task of the scheduler.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const VALUE = /^(["'`[{\d]|-\d|true$|false$|null$|undefined$)/;

/**
 * @param {string} root the package's folder
 * @param {() => Record<string, unknown>} scope names for an example, made anew for each
 */
export function examples(root, scope) {
  describe("examples", () => {
    for (const { where, code } of collect(root)) it(`${where}`, () => expect(() => run(code, scope())).not.toThrow());
  });
  it("exports are documented; what exists at run time has an example", () => {
    expect(undocumented(join(root, "src/index.ts"))).toEqual([]);
  });
}

function collect(root) {
  const read = (file) => (existsSync(join(root, file)) ? readFileSync(join(root, file), "utf8") : "");
  const files = readdirSync(join(root, "src"), { recursive: true }).filter((f) => /(?<!\.test)\.ts$/.test(f));
  const found = files
    .toSorted((a, b) => a.localeCompare(b))
    .flatMap((file) => inComments(read(`src/${file}`)).map((e) => ({ ...e, where: `src/${file}:${e.line}` })));
  return [...found, ...inMarkdown(read("README.md")).map((e) => ({ ...e, where: `README.md:${e.line}` }))];
}

function inComments(text) {
  return [...text.matchAll(/@example\n((?: *\*(?!\/)[^\n]*\n)+)/g)].map(({ 1: body, index }) => ({
    line: lineAt(text, index),
    code: body.replaceAll(/^ *\* ?/gm, "").split(/^@/m)[0],
  }));
}

function inMarkdown(text) {
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(({ 1: code, index }) => ({
    line: lineAt(text, index),
    code,
  }));
}

function lineAt(text, index) {
  return text.slice(0, index).split("\n").length;
}

function run(code, scope) {
  const names = Object.keys(scope).filter((name) => name !== "default");
  const body = transpile(withChecks(code));
  // oxlint-disable-next-line typescript/no-implied-eval, no-new-func -- the text is this repository's own
  const make = new Function(...names, "expect", `return function* () {\n${body}\n};`);
  const op = make(...names.map((name) => scope[name]), expect)();
  if (/\byield\b/.test(code)) scope.scheduler.complete("example", op);
  else op.next();
}

/** Turns each statement that a comment with a value follows into an `expect`. */
function withChecks(code) {
  const source = ts.createSourceFile("example.ts", code, ts.ScriptTarget.ESNext, true);
  const edits = [];
  const visit = (node) => {
    if (ts.isImportDeclaration(node)) edits.push({ from: node.getStart(), to: node.end, text: "" });
    const [comment] = ts.isStatement(node) ? (ts.getTrailingCommentRanges(code, node.end) ?? []) : [];
    const expected = comment ? code.slice(comment.pos + 2, comment.end).trim() : "";
    const check = (value) => `expect(${value}).toEqual(${expected});`;
    if (VALUE.test(expected) && ts.isExpressionStatement(node))
      edits.push({ from: node.getStart(), to: node.end, text: check(node.expression.getText()) });
    else if (VALUE.test(expected) && ts.isVariableStatement(node))
      edits.push({ from: node.end, to: node.end, text: check(node.declarationList.declarations[0].name.getText()) });
    else ts.forEachChild(node, visit);
  };
  visit(source);
  return edits.reduceRight((text, { from, to, text: by }) => text.slice(0, from) + by + text.slice(to), code);
}

function transpile(code) {
  const { outputText } = ts.transpileModule(`function* example() {\n${code}\n}`, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return `${outputText}\nyield* example();`;
}

function undocumented(index) {
  const program = ts.createProgram([index], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ESNext,
    customConditions: ["@dma-buf/source"],
    skipLibCheck: true,
  });
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(index));
  return checker.getExportsOfModule(module).flatMap((exported) => {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    const { name } = exported;
    if (symbol.getDocumentationComment(checker).length === 0) return [`${name} has no doc comment`];
    const shown = symbol.getJsDocTags(checker).some((tag) => tag.name === "example");
    const exists = (symbol.flags & ts.SymbolFlags.Value) !== 0;
    return exists && !shown ? [`${name} has no @example`] : [];
  });
}
