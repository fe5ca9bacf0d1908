// The matrix by keyboard: one stop of Tab, arrow keys from cell to cell, past what filters hide.
const matrix = document.getElementById("matrix");

function lines() {
  const shown = [...matrix.tBodies[0].rows].filter((row) => !row.hidden);
  return shown.map((row) => [...row.querySelectorAll("td:not([hidden]) a")]);
}

/** Where a key leads from a place; `null`: it is no key of the grid. */
function target(key, isWhole, [row, column], grid) {
  const [bottom, right] = [grid.length - 1, grid[0].length - 1];
  const moves = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    PageUp: [Math.max(row - 10, 0), column],
    PageDown: [Math.min(row + 10, bottom), column],
    Home: [isWhole ? 0 : row, 0],
    End: [isWhole ? bottom : row, right],
  };
  return moves[key] ?? null;
}

/** Only one cell is reached by Tab: the last one that had the focus, or the first. */
function stopAt(link) {
  for (const other of matrix.querySelectorAll('a[tabindex="0"]')) other.tabIndex = -1;
  if (link) link.tabIndex = 0;
}

matrix.addEventListener("keydown", (event) => {
  if (event.altKey || event.metaKey) return;
  const grid = lines();
  const row = grid.findIndex((line) => line.includes(event.target));
  if (row === -1) return;
  const place = target(event.key, event.ctrlKey, [row, grid[row].indexOf(event.target)], grid);
  if (!place) return;
  event.preventDefault();
  grid[place[0]]?.[place[1]]?.focus();
});
matrix.addEventListener("focusin", (event) => event.target.matches("td a") && stopAt(event.target));
matrix.addEventListener("filtered", () => {
  const stop = matrix.querySelector('tr:not([hidden]) td:not([hidden]) a[tabindex="0"]');
  stopAt(stop ?? lines()[0]?.[0]);
});
matrix.dispatchEvent(new Event("filtered"));
