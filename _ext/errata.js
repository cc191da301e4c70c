// The filters of the register of errors. The entries are <details> with classes for document, kind,
// severity and lines; without this script all of them are shown and the filters are not.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.querySelector("form.errata-filter");
  const search = form.querySelector("input[type=search]");
  const line = form.querySelector("input[type=number]");
  const menus = [...form.querySelectorAll("select")];
  const entries = [...document.querySelectorAll(".errata-list details.erratum")];
  const text = new Map(entries.map((entry) => [entry, entry.textContent.toLowerCase()]));

  function filter() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const classes = menus.map((menu) => menu.value).filter(Boolean);
    if (line.value) classes.push(`line-${line.value}`);
    let shown = 0;
    for (const entry of entries) {
      const fits =
        classes.every((name) => entry.classList.contains(name)) &&
        words.every((word) => text.get(entry).includes(word));
      entry.hidden = !fits;
      shown += fits;
    }
    form.querySelector("output").textContent = `${shown} of ${entries.length} entries`;
  }

  // A link to an entry opens it, whatever the filters hide.
  function open() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folded = target?.closest("details") ?? target?.querySelector("details.erratum");
    if (!folded) return;
    form.reset();
    filter();
    folded.open = true;
    target.scrollIntoView();
  }

  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", open);
  form.hidden = false;
  filter();
  open();
});
