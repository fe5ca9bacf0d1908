/** A command as one types it again. */

/** Words with quotes where a shell needs them. */
export function shellWords(words: readonly string[]): string[] {
  return words.map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`));
}
