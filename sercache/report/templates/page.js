"use strict";
const valueOf = (row, k) => {
  const cell = row.cells[k], given = cell.dataset.v;
  return given === undefined ? cell.textContent.trim() : given === "" ? null : Number(given);
};
const inOrder = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
function sortBy(table, k, order) {
  const body = table.tBodies[0], sign = order === "descending" ? -1 : 1;
  const rows = Array.from(body.rows, (row) => [valueOf(row, k), row]);
  rows.sort(([a], [b]) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : inOrder.compare(a, b));
  });
  body.append(...rows.map(([, row]) => row));
  for (const head of table.tHead.rows[0].cells) head.removeAttribute("aria-sort");
  table.tHead.rows[0].cells[k].setAttribute("aria-sort", order);
}
for (const table of document.querySelectorAll("table.sortable")) {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const head = button.closest("th"), now = head.getAttribute("aria-sort");
    const first = head.classList.contains("number") ? "descending" : "ascending";
    const next = now === null ? first : now === "ascending" ? "descending" : "ascending";
    sortBy(table, head.cellIndex, next);
  });
}
for (const form of document.querySelectorAll("form.filters")) {
  const tables = Array.from(document.querySelectorAll(form.dataset.of));
  const said = form.querySelector("output");
  const apply = () => {
    const wanted = Array.from(form.querySelectorAll("select"), (each) => [each.name, each.value]);
    const words = form.querySelector("input").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const table of tables) for (const row of table.tBodies[0].rows) {
      const text = words.length ? row.textContent.toLowerCase() : "";
      const fits = wanted.every(([name, value]) => value === "" || row.dataset[name] === value)
        && words.every((word) => text.includes(word));
      row.hidden = !fits;
      all += 1;
      shown += fits;
    }
    said.textContent = `${shown} of ${all} ${form.dataset.what}`;
  };
  form.addEventListener("input", apply);
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  apply();
}
const held = document.getElementById("clips");
if (held) {
  const clips = JSON.parse(held.textContent), player = document.getElementById("player");
  const audio = player.querySelector("audio"), name = player.querySelector("span");
  let pressed = null, address = "";
  const release = () => {
    if (pressed) pressed.setAttribute("aria-pressed", "false");
  };
  const play = (button) => {
    if (pressed === button && !audio.paused) return audio.pause();
    if (pressed !== button) {
      release();
      pressed = button;
      const bytes = Uint8Array.from(atob(clips[button.dataset.clip]), (letter) => letter.charCodeAt(0));
      if (address) URL.revokeObjectURL(address);
      address = URL.createObjectURL(new Blob([bytes], { type: "audio/ogg; codecs=opus" }));
      audio.src = address;
      name.textContent = button.dataset.told;
      player.hidden = false;
    }
    audio.play().catch((fault) => {
      if (fault.name !== "AbortError") name.textContent = `cannot be played here: ${fault.message}`;
    });
  };
  audio.addEventListener("play", () => pressed && pressed.setAttribute("aria-pressed", "true"));
  audio.addEventListener("pause", release);
  audio.addEventListener("ended", release);
  player.querySelector("button").addEventListener("click", () => {
    audio.pause();
    player.hidden = true;
    if (pressed) pressed.focus();
  });
  for (const button of document.querySelectorAll("button.play")) {
    button.disabled = false;
    button.addEventListener("click", () => play(button));
  }
}
