// Opens the cell that the address names, `#S34c/pfn`, beside the matrix; on a phone, over it.
const panel = document.getElementById("panel");
const body = document.getElementById("panel-body");
const split = panel.parentElement;
const unpacked = new Map();

/** The panels of a scenario. Decompressed once, when the first of them is asked for. */
async function panelsOf(scenario) {
  const known = unpacked.get(scenario);
  if (known) return known;
  const packed = document.querySelector(`script[data-chunk="${CSS.escape(scenario)}"]`);
  if (!packed) return null;
  const bytes = Uint8Array.from(atob(packed.textContent), (char) => char.charCodeAt(0));
  const text = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const found = new DOMParser().parseFromString(await new Response(text).text(), "text/html");
  unpacked.set(scenario, found);
  return found;
}

/** The link of the cell that the address names; `null`: it names none. */
function addressed() {
  const [cell] = location.hash.slice(1).split("?");
  return cell ? document.querySelector(`#matrix a[href="#${CSS.escape(cell)}"]`) : null;
}

async function show() {
  const link = addressed();
  document.querySelector("#matrix a[aria-current]")?.removeAttribute("aria-current");
  if (!link) return hide();
  const cell = link.closest("td");
  const scenario = link.closest("tr").dataset.s;
  const panels = await panelsOf(scenario);
  // Somebody else may have been opened while this one was unpacked.
  if (addressed() !== link || !panels) return;
  const article = panels.querySelector(`article[data-c="${CSS.escape(cell.dataset.c)}"]`);
  body.replaceChildren(document.importNode(article, true));
  link.setAttribute("aria-current", "true");
  panel.hidden = false;
  panel.scrollTop = 0;
  split.classList.add("open");
  // Columns are narrower now, and the row has moved.
  link.scrollIntoView({ block: "nearest" });
  body.querySelector("h2").focus({ preventScroll: true });
}

function hide() {
  panel.hidden = true;
  split.classList.remove("open");
}

/** Back to the cell it was opened from. */
function close() {
  const link = addressed();
  const [, query] = location.hash.split("?");
  history.pushState(null, "", query ? `#?${query}` : location.pathname + location.search);
  void show();
  link?.focus();
}

document.getElementById("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) close();
});
// What is folded is printed too.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details:not([open])")) folded.open = true;
});
addEventListener("hashchange", show);
addEventListener("popstate", show);
void show();
