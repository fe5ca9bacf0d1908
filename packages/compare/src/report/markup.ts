/** HTML and SVG as tagged templates: what is put in is escaped, unless it is markup itself. */

export class Markup {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  toString(): string {
    return this.text;
  }
}

/** `null`, `undefined` and `false` put in nothing. */
export type Content = Markup | string | number | null | undefined | false | readonly Content[];

/**
 * @example
 * html`<p title="${'"'}">${"<b>"}</p>`.text; // '<p title="&quot;">&lt;b&gt;</p>'
 */
export function html(strings: TemplateStringsArray, ...values: readonly Content[]): Markup {
  return new Markup(String.raw({ raw: strings }, ...values.map(rendered)));
}

/** Text of this report's own, which is markup already. */
export function raw(text: string): Markup {
  return new Markup(text);
}

function rendered(value: Content): string {
  if (value === null || value === undefined || value === false) return "";
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(rendered).join("");
  return escaped(String(value));
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
